"""Copy the starter files."""
