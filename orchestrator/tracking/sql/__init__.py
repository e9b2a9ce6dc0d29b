"""Answer questions from an MLflow database in plain SQL: importing MLflow takes seconds.

```
database       one store whose schema is known here; any other is left to MLflow
registry       versions and aliases            (files: artifacts in a local folder)
records        runs, their numbers and files
```
What changes a store goes through MLflow, but for one tag that every tick of a retraining writes.
Tests compare every answer with that of the installed MLflow; a new MLflow with another schema is
asked itself until its revision is added to `tracking.schemas`.
"""
