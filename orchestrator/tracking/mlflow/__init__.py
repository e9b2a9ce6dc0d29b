"""Everything that imports MLflow: delivery, reading, registry, saved views, server."""
