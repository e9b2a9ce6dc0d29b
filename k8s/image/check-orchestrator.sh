# What the orchestrator's image must be able to do. replay_dockerfile.py runs this within, as user 1000; only /tmp and /dev/shm
# can be written.
set -eux -o pipefail
experiment=/opt/orchestrator/experiments/digits.yaml

: It is what it should be: nobody can change it, nothing in it compiles or installs.
test "$(id -u)" = 1000
if touch /opt/written; then exit 1; fi
if command -v gcc cc c++ ld make pip pip3 uv; then exit 1; fi

: KubeRay finds what it calls: Ray, a python for its submitter, and what the Jobs API needs.
ray --version
python -c 'import aiohttp_cors'

: A head starts as KubeRay starts it, with a token, and answers the probes that KubeRay gives it.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=only-for-this-check-only-for-this-check
bash -c 'ulimit -n 65536; ray start --head --dashboard-host=0.0.0.0 --num-cpus=0 --object-store-memory=200000000'
python - <<'PYTHON'
import time
import urllib.error
import urllib.request


def status(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


deadline = time.monotonic() + 60
for address in ("http://127.0.0.1:52365/api/healthz", "http://127.0.0.1:8265/api/gcs_healthz"):
    while status(address) != 200:
        assert time.monotonic() < deadline, (address, status(address))
        time.sleep(1)
while (found := status("http://127.0.0.1:8265/api/jobs/")) is None and time.monotonic() < deadline:
    time.sleep(1)
assert found in (401, 403), f"{found}: whoever reaches the dashboard could run what he likes"
PYTHON
ray job submit --address http://127.0.0.1:8265 --submission-id check -- orchestrator validate "$experiment"
ray stop --force >/dev/null
unset RAY_AUTH_MODE RAY_AUTH_TOKEN

: The program works, in process and with Ray, and both give the same numbers.
orchestrator validate --skip-data "$experiment" /opt/orchestrator/experiments/*.yaml /opt/orchestrator/search_spaces/*.yaml
orchestrator run "$experiment" --set execution.kind=in_process --set execution.num_threads=1 --output /tmp/in-process
orchestrator run "$experiment" --set execution.kind=ray --set store.uri=/tmp/store-of-ray --output /tmp/with-ray
python - <<'PYTHON'
import json

one, other = (json.load(open(f"/tmp/{name}/summary.json")) for name in ("in-process", "with-ray"))
assert not any(stage["cached"] for stage in other["stages"]), "the second run was to compute everything itself"
for role in ("teacher", "student"):
    assert one[role]["accuracy_matrix"] == other[role]["accuracy_matrix"], role
PYTHON
