"""Amazon SNS between accounts."""
