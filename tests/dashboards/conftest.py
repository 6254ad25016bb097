"""A published home, written once; each test that changes something makes its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

# The factory stands beside the tests and is no part of the product.
from tests.dashboards.servers import free_port, served
from tests.dashboards.serving_factory import write_serving
from tests.installed import missing
from tests.stewards_factory import delivery, finding, write_stewards

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def published_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    write_serving(home)
    return home


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit leaves a page as the module `__main__`, and every worker that a later test starts would run it."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def demo_home(published_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser tests look at: stewards find something there too."""
    home = tmp_path_factory.mktemp("demo")
    shutil.copytree(published_home / "serving", home / "serving")
    write_stewards(home / "serving", [finding(1)], [delivery("d" * 64)])
    return home


@pytest.fixture(scope="session")
def demo_address(demo_home: Path) -> Iterator[str]:
    """One server of demo users for all browser tests."""
    with served(demo_home, free_port(), "--demo") as base:
        yield base


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("Chromium is not installed; `make browser` installs it")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()
