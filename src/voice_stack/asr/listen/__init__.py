"""What is being said, shown on the command line as it is said."""
