"""Sources of images: one file per kind, called as its `kind` in the configuration."""
