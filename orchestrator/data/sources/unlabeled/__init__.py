"""Sources of unlabelled images, one module per kind."""
