"""Reports for people: one HTML file each, with everything in it, about a run, a sweep, or several
runs side by side.

What a report needs comes as values (`TrackedRun`, `SweepFacts`), so a process reports what it has
just computed without reading it back, and any run can be reported years later from MLflow alone.
"""
