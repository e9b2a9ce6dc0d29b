"""The history page of a retraining: all versions, their verdicts, and what they learned from."""
