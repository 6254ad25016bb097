"""Exactly once: whatever is killed, repeated, refused or run side by side, the landing is that of one clean run."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from time import monotonic

import pytest

from ruam.faults import POINTS
from ruam.landing import committed_batches
from ruam.settings import Settings
from tests.ingestion.nodes import Ordeal, deliveries_of_the_country, run, state
from tests.ingestion.reading import assert_balanced, batches, take_in

POINTS_OF_AN_INGEST = tuple(name for name in POINTS if not name.startswith("replace."))
PROOF = bool(os.environ.get("RUAM_TEST_KILLS"))
"""`make proof` sets it: the kills in all, over three seeds."""
SEEDS = (1, 2, 3) if PROOF else (1,)
KILLS = int(os.environ.get("RUAM_TEST_KILLS", "24")) // len(SEEDS) + 1


def leftovers(settings: Settings) -> list[Path]:
    home = settings.data_home
    hidden = [*home.landing.glob("*/.incoming*"), *home.landing.glob("*/.retired*"), *home.inbox.glob(".incoming*")]
    standing = set(committed_batches(home.landing))
    return hidden + [folder for folder in home.landing.glob("*/batch=*") if folder not in standing]


@pytest.mark.parametrize("seed", SEEDS)
def test_many_kills_over_thirteen_regions_end_where_one_clean_run_ends(
    ready_home: Path, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = monotonic()
    dice = random.Random(seed)  # noqa: S311
    sent = deliveries_of_the_country(tmp_path / "sent", dice)
    clean = Settings(home=Path(shutil.copytree(ready_home, tmp_path / "clean")), batch_zips=1000)
    take_in(clean, *{path for paths in sent.values() for path in paths})

    tried = Settings(home=Path(shutil.copytree(ready_home, tmp_path / "tried")))
    ordeal = Ordeal(tried.home, sent, dice, KILLS, POINTS_OF_AN_INGEST)
    ordeal.survive()
    assert state(tried) == state(clean)
    assert_balanced(tried)

    before = batches(tried)
    code, said = run(tried.home, "ingest", tmp_path / "sent")
    assert code == 0, said
    assert batches(tried) == before, "a last quiet run found something to do"
    assert run(tried.home, "compact")[0] == 0
    assert leftovers(tried) == []
    assert state(tried) == state(clean)
    assert ordeal.killed >= KILLS
    assert ordeal.lost_workers > 0
    assert ordeal.refused > 0
    with capsys.disabled():
        print(  # noqa: T201 - `make proof` shows it
            f"\n  seed {seed}: {ordeal.runs} runs, {ordeal.killed} kills ({len(ordeal.at_points)} named points, "
            f"{ordeal.lost_workers} workers), {ordeal.refused} starts refused, {monotonic() - begun:.0f} s"
        )
