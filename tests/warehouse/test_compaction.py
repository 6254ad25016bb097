"""A build after a compaction reads what is new, once, and nothing that it read before; and rows balance per file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingestion.compaction import compact
from ruam.build import build
from ruam.home import DataHome
from ruam.landing import committed_batches
from ruam.settings import Settings
from tests.warehouse.contents import contents
from tests.warehouse.country import CORRECTION, FIRST, LATE, land, make_country

pytestmark = pytest.mark.slow

HISTORIES = {"fct_finding_events", "fct_finding_histories", "agg_finding_changes"}
"""What successive builds saw of a finding: one build of all sees the end alone."""


def tables(home: DataHome) -> dict[str, list[tuple[object, ...]]]:
    """All but the build's own ledger and `HISTORIES`."""
    return {
        name: rows for name, rows in contents(home).items() if not name.startswith("ruam.") and name not in HISTORIES
    }


def histories(home: DataHome) -> dict[str, list[tuple[object, ...]]]:
    return {name: rows for name, rows in contents(home).items() if name in HISTORIES}


def open_findings(home: DataHome) -> set[str]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        rows = connection.execute("select finding_key from fct_finding_histories where state <> 'fixed'").fetchall()
    return {key for (key,) in rows}


def test_after_a_compaction_only_new_rows_are_built_and_they_are_built(built_home: DataHome, tmp_path: Path) -> None:
    home = make_country(tmp_path)
    settings = Settings(home=home.root)
    land(home, FIRST)
    assert build(settings).is_full_refresh

    land(home, CORRECTION)
    compact(settings)
    assert len(committed_batches(home.landing, "01")) == 1, "what was built and what is new lie together"
    first = build(settings)
    assert (first.is_full_refresh, first.n_batches) == (False, 1)

    compact(settings)
    assert build(settings).skipped

    land(home, LATE)
    second = build(settings)
    assert (second.is_full_refresh, second.n_batches) == (False, 1)
    assert tables(home) == tables(built_home)
    assert open_findings(home) == open_findings(built_home) != set()
    before = histories(home)

    compact(settings)
    assert build(settings).skipped
    assert build(settings, full_refresh=True).is_full_refresh
    assert tables(home) == tables(built_home)
    assert histories(home) == before, "what builds saw of findings outlives a compaction and a build of everything"


def test_rows_of_each_file_and_delivery_stand_or_were_replaced(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Three deliveries of one facility told of the same visits: the newest stands, the stale and the tie do not."""
    found = warehouse.execute("""
        select delivery_id, n_rows, n_rejected, n_standing, n_replaced
        from fct_delivery_files where delivery_id in ('phrae-0', 'phrae-1', 'phrae-3') and file = 'SERVICE' order by all
    """).fetchall()
    assert found == [("phrae-0", 3, 0, 1, 2), ("phrae-1", 3, 0, 2, 1), ("phrae-3", 1, 0, 1, 0)]
