"""Predict the classes of images with a model from a run, the registry, or an exported file."""
