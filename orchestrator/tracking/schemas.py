"""Known schemas of MLflow's databases; a test compares them with the installed MLflow's schema."""

# The newest revision of MLflow's migrations, by version of MLflow.
NEWEST_SCHEMAS = {"3.17": "dc11669786a5"}


def newest_schema(mlflow_version: str) -> str | None:
    """Return the newest schema revision of a version of MLflow, such as 3.17.2; None if the version
    is not listed here.
    """
    return NEWEST_SCHEMAS.get(".".join(mlflow_version.split(".")[:2]))
