"""CloudTrail's events on EventBridge."""
