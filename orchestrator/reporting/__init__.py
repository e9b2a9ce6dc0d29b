"""HTML reports on a run, a sweep, a retraining or several runs. Each report is a single file that
needs no other files.

A report is built from values (`TrackedRun`, `SweepFacts`). So a process can report its own results
without reading them from MLflow, and a run can be reported years later from MLflow alone.
"""
