"""Each hostile delivery leaves its receipt, good rows beside a bad one land, and none costs more than 512 MB."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from ingestion.checks import load_rules
from ruam.settings import Settings
from tests.ingestion.hostile import CATALOGUE, FRAMES, MEMBERS, NAMES, Fixture
from tests.ingestion.odd_zips import zip_name
from tests.ingestion.reading import assert_balanced, landed, records
from tests.measured import measured

MOST_MEMORY = 512 << 20


@dataclass(frozen=True)
class Ingested:
    settings: Settings
    code: int
    peak: int
    """Bytes of the largest process."""
    receipts: Mapping[str, dict[str, object]]
    """By name of the file."""
    rules: pl.DataFrame


def name_of(fixture: Fixture) -> str:
    minute, second = divmod(CATALOGUE.index(fixture), 60)
    return zip_name(sent_at=f"2024060112{minute:02d}{second:02d}")


@pytest.fixture(scope="module")
def ingested(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """The whole catalogue, taken in by one command."""
    folder = tmp_path_factory.mktemp("hostile")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")))
    inbox = folder / "in"
    inbox.mkdir()
    for fixture in CATALOGUE:
        fixture.make(inbox / name_of(fixture))
    ruam = Path(sys.executable).with_name("ruam")
    done, peak = measured([ruam, "ingest", inbox], {"RUAM_HOME": str(settings.home), "RUAM_WORKERS": "1"})
    receipts = {one["file_name"]: one for one in records(settings, "receipts").iter_rows(named=True)}
    rules = records(settings, "receipt_rules").filter(level="row")
    shutil.rmtree(inbox)
    return Ingested(settings, done.returncode, peak, receipts, rules)


@pytest.mark.parametrize("fixture", CATALOGUE, ids=lambda fixture: fixture.name)
def test_each_leaves_its_receipt(ingested: Ingested, fixture: Fixture) -> None:
    receipt = ingested.receipts[name_of(fixture)]
    rules = ingested.rules.filter(delivery_id=receipt["delivery_id"])
    rejected = dict(rules.select("rule", "n_rows").iter_rows())
    outcome = "rejected" if fixture.rule else "accepted_with_rejects" if fixture.rejected else "accepted"
    assert (receipt["outcome"], receipt["reason"]) == (outcome, fixture.rule), receipt["detail"]
    assert (receipt["n_landed"], rejected) == (fixture.landed, fixture.rejected)
    assert bool(receipt["detail"]) == bool(fixture.rule)
    assert str(receipt["detail"]).isprintable()


def test_rows_balance_over_all_of_them(ingested: Ingested) -> None:
    assert_balanced(ingested.settings)
    assert landed(ingested.settings, "CARD").is_empty()


def test_none_costs_more_memory_than_allowed(ingested: Ingested) -> None:
    assert ingested.peak <= MOST_MEMORY, f"{ingested.peak >> 20} MB"


def test_the_catalogue_has_each_rule_of_an_archive() -> None:
    of_names = {"bad_zip_name", "unknown_sender"}
    rules = {code for code, rule in load_rules().items() if rule.level == "delivery"} - of_names
    assert {fixture.rule for fixture in (*FRAMES, *NAMES, *MEMBERS) if fixture.rule} == rules
