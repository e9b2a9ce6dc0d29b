"""Read an MLflow database in plain SQL, because importing MLflow takes seconds.

```
database       execute SQL in a database with a known schema
conditions     convert a query for runs to SQL
records        read runs, with their metrics and files
registry       read registered models and their aliases
versions       read versions of registered models
files          read artifacts in local folders
```

MLflow itself makes all changes to a store, except for one tag, which each execution of
`orchestrator retrain` writes. Tests compare all results with the results of the installed MLflow.
If `tracking.schemas` does not list the schema of a database, for example because MLflow is newer,
MLflow reads the database.
"""
