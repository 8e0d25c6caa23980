"""Amazon EventBridge: patterns, delivery, schedules of rules."""
