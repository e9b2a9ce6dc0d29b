"""Export a model as a file."""
