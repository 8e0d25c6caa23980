"""A simulated AWS for this project's demo and tests: moto, with the rules of AWS that our flow depends on added on top.

Each module has one job and an `install()` that patches moto; `rules.install_all()` calls those of EC2, EBS, KMS and
Organizations, and `python -m simulated_aws` starts the whole of it. Nothing in here is AWS, and nothing proves what AWS does:
each rule cites the AWS page that it follows.
"""
