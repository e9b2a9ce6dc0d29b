"""Copy the starter files (experiments and search spaces that ship with the package)."""
