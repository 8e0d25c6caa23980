"""AWS Step Functions on moto's interpreter."""
