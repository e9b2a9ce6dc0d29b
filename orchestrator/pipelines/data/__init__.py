"""Import and describe images."""
