"""Image sources: one module per kind, with the name of the kind in the configuration."""
