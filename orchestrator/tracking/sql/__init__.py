"""Read an MLflow database in plain SQL, because importing MLflow takes seconds.

```
database       execute SQL in a database with a known schema
conditions     convert a query for runs to SQL
records        read runs, with their metrics and files
registry       read registered models and their aliases
versions       read versions of registered models
files          read artifacts in local folders
```

This package changes nothing in a store, except for a tag of a registered model, which each
`orchestrator retrain` sets to record that it ran. MLflow itself makes all other changes. Tests
compare all results with the results of the installed MLflow. If `tracking.schemas` does not list
the schema of a database, for example because MLflow is newer, MLflow reads the database.
"""
