"""Answer queries from an MLflow database in plain SQL, because importing MLflow takes seconds.

```
database       one store whose schema is known here; MLflow handles all others
registry       versions and aliases            (files: artifacts in a local folder)
records        runs, their numbers and files
```
Changes to a store go through MLflow, except for one tag that every tick of a retraining writes.
Tests compare all answers with those of the installed MLflow. A database with the schema of a newer
MLflow is queried through MLflow until that schema's revision is added to `tracking.schemas`.
"""
