"""List the known schemas of MLflow's databases; a test compares them with the installed MLflow."""

# The newest schema revision of each version of MLflow, by major and minor version number.
NEWEST_SCHEMAS = {"3.17": "dc11669786a5"}


def newest_schema(mlflow_version: str) -> str | None:
    """Return the newest schema revision of an MLflow version such as "3.17.2"; None if
    `NEWEST_SCHEMAS` lacks the version.
    """
    return NEWEST_SCHEMAS.get(".".join(mlflow_version.split(".")[:2]))
