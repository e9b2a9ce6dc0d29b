"""HTML reports on a run, a sweep, a retraining or several runs. Each report is a single file that
needs no other files.

Every report is built from plain Python objects (`TrackedRun`, `SweepFacts`). This package does not
read MLflow. So a process can report results that it still holds in memory. To report a run of last
year, another package loads the run from MLflow into the same kind of objects.
"""
