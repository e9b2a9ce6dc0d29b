"""The use cases, each readable like the README."""
