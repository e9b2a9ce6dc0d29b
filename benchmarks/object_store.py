"""Count the requests of commands to a stage store on S3, from a thousand artifacts upwards.

    .venv/bin/python benchmarks/object_store.py                  100,000 artifacts
    .venv/bin/python benchmarks/object_store.py --quick          2,000
    .venv/bin/python benchmarks/object_store.py --artifacts N    any other number
    .venv/bin/python benchmarks/object_store.py --without-sweep  no Ray: requests alone

A short run on digits fills a simulated S3 on loopback (`counting_s3.py`), which counts requests at
the server. Then artifacts with other keys are added, and the requests of `plan`, a second run and
`gc --dry-run` are counted again. At the end a small sweep runs twice, each time into its own store
in the same bucket: on an undisturbed server, and on one that waits 0.1 seconds before each answer
and fails every hundredth request with 503. Nothing here uses a real network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import EXPERIMENT, IN_PROCESS, ROOT, SEARCH_SPACES, print_figures

sys.path.insert(0, str(ROOT))  # the tests start servers

from orchestrator.config import load_experiment
from orchestrator.pipelines.planning.plan import plan
from orchestrator.pipelines.run.run import run
from orchestrator.pipelines.store.collect_garbage import collect_garbage
from orchestrator.tracking import NullTracker
from tests.integration.servers import free_port
from tests.waiting import wait_for_server

SMALL = 1_000
LATENCY_SECONDS, ERRORS = 0.1, 0.01
BRIEFLY = ["teacher.training.epochs=2", "teacher.refinement.epochs=1", "student.training.epochs=2"]
COMMANDS = ("plan", "second run", "gc --dry-run")


@dataclass(frozen=True)
class Bucket:
    """The simulated S3.

    Attributes:
        port: Port on loopback.
    """

    port: int

    def uri(self, folder: str) -> str:
        """Return the URI of a folder in the form of `store.uri`."""
        place = f"endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"
        return f"s3://bucket/{folder}?{place}"

    def ask(self, question: str) -> dict[str, int]:
        """Call a control endpoint of `counting_s3.py`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/{question}") as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def counted(self, command: Callable[[], object]) -> tuple[dict[str, int], float]:
        """Run a command, and return its requests by kind and its seconds."""
        self.ask("reset")
        started = time.perf_counter()
        command()
        seconds = time.perf_counter() - started
        return {kind: num for kind, num in self.ask("counts").items() if num}, seconds


def main() -> None:
    """Fill a bucket, count requests at both sizes, disturb a sweep, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--artifacts", type=int, default=100_000, help="largest number of artifacts"
    )
    parser.add_argument("--quick", action="store_true", help="2,000 artifacts")
    parser.add_argument("--without-sweep", action="store_true", help="count requests only")
    arguments = parser.parse_args()
    sizes = [SMALL, 2_000 if arguments.quick else arguments.artifacts]
    with tempfile.TemporaryDirectory() as scratch, simulated(Path(scratch)) as bucket:
        counts = {size: count(bucket, size, Path(scratch)) for size in sizes}
        print_table(counts)
        quiet = slow = 0.0
        if not arguments.without_sweep:
            quiet = sweep_seconds(bucket, "quiet", Path(scratch))
            bucket.ask(f"reset?latency={LATENCY_SECONDS}&errors={ERRORS}")
            slow = sweep_seconds(bucket, "slow", Path(scratch))
            asked = bucket.ask("counts")
            print(
                f"a sweep: {quiet:.0f} s on the quiet store, {slow:.0f} s on the slow one: {asked}"
            )
    small, large = (totals(counts[size]) for size in sizes)
    print_figures(
        "object_store",
        artifacts=sizes[-1],
        requests_small=small,
        requests_large=large,
        is_bounded=all(small[name] == large[name] for name in COMMANDS[:2]),
        sweep_quiet_seconds=quiet,
        sweep_slow_ratio=slow / quiet if quiet else None,
    )


def count(bucket: Bucket, size: int, folder: Path) -> dict[str, tuple[dict[str, int], float]]:
    """Fill the store to a size, and return the requests and seconds of each command."""
    experiment = load_experiment(
        EXPERIMENT, [*IN_PROCESS, *BRIEFLY, f"store.uri={bucket.uri('store')}"]
    )
    run(experiment, folder / "first", tracker=NullTracker())  # stores its stages on the first call
    bucket.ask(f"fill?root=store&artifacts={size}")
    commands: list[Callable[[], object]] = [
        lambda: plan(experiment),
        lambda: run(experiment, folder / "second", tracker=NullTracker()),
        lambda: collect_garbage([experiment.store.uri], [experiment], 30, dry_run=True),
    ]
    return {name: bucket.counted(command) for name, command in zip(COMMANDS, commands, strict=True)}


def totals(counts: dict[str, tuple[dict[str, int], float]]) -> dict[str, int]:
    """Return the total number of requests of each command."""
    return {name: sum(kinds.values()) for name, (kinds, _) in counts.items()}


def print_table(counts: dict[int, dict[str, tuple[dict[str, int], float]]]) -> None:
    """Print requests by kind and seconds as a Markdown table."""
    print("\n| command | artifacts | requests | of them | seconds |\n|---|---|---|---|---|")
    for name in COMMANDS:
        for size, found in counts.items():
            kinds, seconds = found[name]
            told = ", ".join(f"{num} {kind}" for kind, num in sorted(kinds.items()))
            print(f"| {name} | {size:,} | {sum(kinds.values()):,} | {told} | {seconds:.1f} |")
    print(flush=True)


def sweep_seconds(bucket: Bucket, store: str, folder: Path) -> float:
    """Run a small sweep on Ray into a store, and return its seconds.

    Raises:
        SystemExit: The sweep failed.
    """
    command = [sys.executable, "-m", "orchestrator", "sweep", str(SEARCH_SPACES / "smoke.yaml")]
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - ours
        [
            *(*command, "--experiment", str(EXPERIMENT), "--output", f"out-{store}"),
            *("--set", f"store.uri={bucket.uri(store)}"),
        ],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"the sweep failed\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


@contextmanager
def simulated(folder: Path) -> Iterator[Bucket]:
    """Start the server, with an empty bucket."""
    bucket = Bucket(free_port())
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    log_file = folder / "server.log"
    with log_file.open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, str(Path(__file__).with_name("counting_s3.py")), str(bucket.port)],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_server(server, lambda: makes_bucket(bucket.port), log_file)
        yield bucket
    finally:
        server.kill()
        server.wait()


def makes_bucket(port: int) -> bool:
    """Return whether the server accepts requests; asking also creates the bucket."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
    try:
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
