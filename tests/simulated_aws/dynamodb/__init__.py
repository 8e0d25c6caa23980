"""What requests of DynamoDB consume."""
