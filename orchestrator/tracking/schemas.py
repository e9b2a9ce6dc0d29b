"""Known schemas of MLflow's databases; a test compares them with those of the installed MLflow."""

# By version of MLflow: the newest revision of its migrations.
NEWEST_SCHEMAS = {"3.17": "dc11669786a5"}


def newest_schema(mlflow_version: str) -> str | None:
    """Return the newest revision that a version of MLflow, such as 3.17.2, knows; None if only its
    migrations tell.
    """
    return NEWEST_SCHEMAS.get(".".join(mlflow_version.split(".")[:2]))
