"""The same batches, in any order and any number of times, make the same warehouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruam.dbt import run_dbt
from ruam.home import DataHome
from tests.warehouse.contents import contents
from tests.warehouse.country import CORRECTION, FIRST, LATE, REJECTED, land, make_country

pytestmark = pytest.mark.slow

_RUN = ["build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]

Steps = tuple[tuple[str, ...], ...]


def ids(batches: tuple[str, ...]) -> list[str]:
    return [*batches, *([REJECTED] if FIRST in batches else [])]


def build_step_by_step(root: Path, steps: Steps) -> DataHome:
    """Land and build a few batches at a time, each build told its new batches only."""
    home = make_country(root)
    for batches in steps:
        land(home, *batches)
        run_dbt(_RUN, home, batches=ids(batches))
    return home


@pytest.mark.parametrize("steps", [((FIRST,), (CORRECTION, LATE)), ((LATE, CORRECTION), (FIRST,))])
def test_any_order_gives_what_a_full_build_gives(built_home: DataHome, tmp_path: Path, steps: Steps) -> None:
    home = build_step_by_step(tmp_path, steps)
    assert contents(home) == contents(built_home)
    run_dbt(_RUN, home, batches=ids(steps[0]))
    assert contents(home) == contents(built_home), "building batches again changed something"
