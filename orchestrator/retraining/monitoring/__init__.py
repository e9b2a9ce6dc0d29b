"""Monitor images without labels, and folders in which nothing arrives, between the candidates of a
retraining.
"""
