"""Rules of Amazon EC2 and EBS: images, snapshots, permissions, launches, tags."""
