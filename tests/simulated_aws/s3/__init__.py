"""Rules of Amazon S3."""
