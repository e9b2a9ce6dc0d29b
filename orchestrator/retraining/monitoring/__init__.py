"""Watch images without labels, and folders in which nothing arrives, between a retraining's
candidates.
"""
