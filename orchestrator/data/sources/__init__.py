"""Image sources: one module per kind, named like its `kind` in the configuration."""
