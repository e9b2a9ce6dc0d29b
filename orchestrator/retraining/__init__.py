"""Scheduled retraining: detect new files, train a candidate on them, and replace the champion if
the gate accepts the candidate.

The champion is the pair of teacher and student in use. A tick is one run of `orchestrator retrain`.
Only the process that holds the lease may change the champion.
"""
