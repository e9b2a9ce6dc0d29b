"""Copy the files that people start from."""
