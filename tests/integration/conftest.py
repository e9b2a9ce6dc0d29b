"""Shared fixtures: a real Chromium, if this machine has one, and a Ray cluster of several nodes."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start the system's Chromium without a window."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright here: it drives Chromium"
    )
    with playwright.sync_playwright() as driver:
        # Chromium cannot create its sandbox as root or in most containers
        chromium = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=1000 * PATIENCE_SECONDS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """Open an empty tab of a large window, in which charts are drawn without scrolling; it keeps no
    state of other tests.
    """
    context = browser.new_context(viewport={"width": 1600, "height": 2000})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    yield context.new_page()
    context.close()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Simulate Ray on several machines by processes: a head without CPUs, and nodes that can be
    killed.
    """
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    system = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 500,
        "health_check_failure_threshold": 3,
    }
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": system})
    yield nodes
    nodes.shutdown()
    del os.environ["RAY_AUTH_MODE"]
