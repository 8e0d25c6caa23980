"""A simulated AWS for this project's demo and tests: a moto server with the rules of AWS that ami-share depends on.

`README.md` lists its folders and modules. Each module has one job and an `install()` that patches moto.
`core.rules.install_all()` calls those of EC2, KMS, IAM, Organizations, S3 and Scheduler, and `python -m simulated_aws`
starts the whole server. Nothing here proves what AWS does: each rule cites the AWS page that it follows.
"""
