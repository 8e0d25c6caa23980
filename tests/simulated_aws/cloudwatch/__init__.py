"""CloudWatch metrics and alarms, and X-Ray traces."""
