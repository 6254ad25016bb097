"""A published home, written once; each test that changes something makes its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The factory stands beside the tests and is no part of the product.
from tests.dashboards.serving_factory import write_serving


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
