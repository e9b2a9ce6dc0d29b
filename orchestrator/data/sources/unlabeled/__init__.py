"""Sources of images without labels, one file each."""
