# What the MLflow server's image must be able to do. replay_dockerfile.py runs this within, as user 1000; only /tmp and /dev/shm
# can be written.
set -eux -o pipefail

: It is what it should be: nobody can change it, nothing in it compiles or installs.
test "$(id -u)" = 1000
if touch /opt/written; then exit 1; fi
if command -v gcc cc c++ ld make pip pip3 uv; then exit 1; fi

: The drivers of PostgreSQL and S3 are there, and the dashboard of sweeps.
python -c 'import boto3, psycopg'
optuna-dashboard --version

: A server with user administration comes up, and lets nobody in without a password.
printf '[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:////tmp/users.db\n' >/tmp/auth.ini
export MLFLOW_AUTH_CONFIG_PATH=/tmp/auth.ini MLFLOW_FLASK_SERVER_SECRET_KEY=only-for-this-check
export MLFLOW_AUTH_ADMIN_USERNAME=admin MLFLOW_AUTH_ADMIN_PASSWORD=only-for-this-check
mlflow server --app-name basic-auth --backend-store-uri sqlite:////tmp/mlflow.db --port 5999 --workers 1 >/tmp/log 2>&1 &
python - <<'PYTHON' || { cat /tmp/log; exit 1; }
import time
import urllib.error
import urllib.request


def status(path):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:5999{path}", timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


deadline = time.monotonic() + 120
while status("/health") != 200 and time.monotonic() < deadline:
    time.sleep(1)
assert status("/health") == 200
assert status("/api/2.0/mlflow/experiments/get?experiment_id=0") == 401
PYTHON
