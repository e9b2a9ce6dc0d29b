"""Say what is on images, with the model of a run, of the registry, or of an exported file."""
