"""List the installed extensions."""
