"""AWS Lambda: runs the functions' real binaries."""
