"""Build the history page of a retraining: all model versions, the verdicts of the promotion gate on
each version, and the files from which each version has learned.

A version is a registered pair of a teacher and a student. The champion is the version in use.
"""
