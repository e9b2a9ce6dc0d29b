"""Adds a user to MLflow, or gives a known one another password, which is read from standard input.

Runs in the pod of the MLflow server, as its administrator: kubectl exec --stdin deploy/mlflow --
python /etc/mlflow/add_user.py NAME
"""

import os
import sys

from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient

os.environ["MLFLOW_TRACKING_USERNAME"] = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]
os.environ["MLFLOW_TRACKING_PASSWORD"] = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
client = AuthServiceClient(os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000"))
name, password = sys.argv[1], sys.stdin.read().strip()
try:
    client.get_user(name)
except MlflowException as error:
    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
        sys.exit(f"error: {error}")
    client.create_user(name, password)
    print(f"added {name}")
else:
    client.update_user_password(name, password)
    print(f"{name} has the new password")
