"""AWS CloudFormation: expands, deploys and changes the stack."""
