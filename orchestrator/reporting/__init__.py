"""HTML reports on a run, a sweep, a retraining or several runs, each a single file with everything
in it.

A report is built from values (`TrackedRun`, `SweepFacts`). So a process can report its own results
without reading them back, and any run can be reported years later from MLflow alone.
"""
