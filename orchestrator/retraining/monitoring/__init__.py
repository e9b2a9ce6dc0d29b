"""Monitor a retraining between trainings: detect unlabelled images that differ from the learned
images, and folders that no longer receive files.
"""
