"""History page of a retraining: all versions, their verdicts, and the files they learned from."""
