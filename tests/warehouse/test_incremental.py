"""Days of deliveries, built one after another, make the warehouse that one build of all of them makes."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from quality.suites import warehouse_suites
from ruam.build import build
from ruam.dbt import manifest, run_dbt
from ruam.errors import BuildError
from ruam.home import DataHome
from ruam.settings import Settings
from tests.warehouse.contents import contents
from tests.warehouse.days import Days, make_reference
from tests.warehouse.landing_factory import make_home

pytestmark = pytest.mark.slow

N_DAYS = int(os.environ.get("RUAM_TEST_DAYS", "2"))
SEED = int(os.environ.get("RUAM_TEST_SEED", "1"))
"""Of the days and of which builds stop; a day that failed is made again by its seed."""
_WITHOUT_TESTS = ["--exclude-resource-type", "test"]
_STOPS = [
    "int_persons__identified",
    "int_persons__affected",
    "int_persons__watched",
    "int_visits__merged",
    "fct_procedures",
    "fct_facility_cells",
    "fct_utilization_cells",
    "fct_flow_cells",
    "msr_red_06",
    "fct_measure_cells",
    "fct_measure_persons",
]
"""In the order of a build: before what people added is kept, after it, and before and after it is taken in."""
_CONTRIBUTED = [
    "fct_facility_cells",
    "fct_flow_cells",
    "fct_measure_cells",
    "fct_measure_persons",
    "fct_utilization_cells",
]
"""Models that change by what people add."""

_READERS_OF_REACHED = {
    "int_visits__enriched",  # lines of files, by visit
    "int_admissions__enriched",  # by stay
    "int_persons__diagnosed",  # by registration
    "int_persons__identified",  # registrations that changed
    "msr_red_06",  # people
    "msr_nec_02",  # admissions
    "fct_visit_labels",  # people and those whose window has passed
}
"""Of each unit at least one."""


def _run(arguments: list[str], home: DataHome, **options: Any) -> None:
    run_dbt([*arguments, *_WITHOUT_TESTS], home, **options)


def _stop_at(model: str) -> Any:
    """A run that gets as far as one model, and no further."""

    def run(arguments: list[str], home: DataHome, **options: Any) -> None:
        run_dbt([*arguments, *_WITHOUT_TESTS, "--select", f"+{model}"], home, **options)
        raise BuildError("stopped half-way")

    return run


def kept(home: DataHome) -> dict[str, int]:
    """People whose contributions before are kept, by model; none where nothing keeps them."""
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        tables = connection.execute("""
            select table_name from information_schema.tables
            where table_schema = 'ruam' and suffix(table_name, '_persons') and table_name <> 'changed_persons'
        """).fetchall()
        return {
            table.removesuffix("_persons"): connection.execute(f"select count(*) from ruam.{table}").fetchall()[0][0]
            for (table,) in tables
        }


def readers_of_reached(home: DataHome) -> set[str]:
    """Models of the last build that read a few people's rows from beside the tables of everybody."""
    return {
        node["name"]
        for node in manifest(home)["nodes"].values()
        if node["resource_type"] == "model" and '"reached".' in node["compiled_code"]
    }


def schemas(home: DataHome) -> set[str]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        found = connection.execute("select schema_name from duckdb_schemas() where not internal").fetchall()
        return {name for (name,) in found}


def differing(one: dict[str, list[tuple[object, ...]]], other: dict[str, list[tuple[object, ...]]]) -> list[str]:
    assert one.keys() == other.keys()
    return [table for table, rows in other.items() if one[table] != rows]


def unknown(home: DataHome) -> dict[tuple[str, str], int]:
    """Rows that refer to what the warehouse does not hold, by table and check of the gate `references`."""
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        found = {
            (suite.table, check.rule): connection.execute(
                f"select count(*) from {suite.table} where {check.condition}"
            ).fetchall()[0][0]
            for suite in warehouse_suites(manifest(home))
            for check in suite.checks
            if check.gate == "references"
        }
    return {what: n for what, n in found.items() if n}


def test_days_built_one_after_another_equal_a_full_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late, repeated, out-of-order and withdrawing deliveries, changed links; and builds that stop half-way."""
    home = make_home(tmp_path / "home")
    make_reference(home)
    days, pick, settings = Days(home, SEED), Random(SEED), Settings(home=home.root)  # noqa: S311 - no secret
    monkeypatch.setattr("ruam.build.run_dbt", _run)
    days.land(visits=900)
    assert build(settings).is_full_refresh
    for day in range(N_DAYS):
        days.land(visits=4)
        if day % 3 == 0:
            monkeypatch.setattr("ruam.build.run_dbt", _stop_at(pick.choice(_STOPS)))
            with pytest.raises(BuildError, match="stopped half-way"):
                build(settings)
            monkeypatch.setattr("ruam.build.run_dbt", _run)
            days.land(visits=4)
        assert not build(settings).is_full_refresh
    by_day = contents(home)
    assert readers_of_reached(home) >= _READERS_OF_REACHED
    assert not schemas(home) & {"reached"}, "rows that were kept for one build outlive it"
    if N_DAYS > 2:
        monkeypatch.undo()  # In the proof the build tests itself too: no test may fail for what senders send.
    assert build(settings, full_refresh=True).is_full_refresh
    at_once = contents(home)
    seen = {row[2] for row in by_day["fct_finding_events"]}
    assert seen == {"opened", "fixed"}, "no day mended a finding: the history is not tried"
    identities = [row[0] for row in at_once["fct_findings"]]
    assert len(set(identities)) == len(identities), "two findings are taken for one"
    assert not unknown(home), "what senders leave out shuts a gate"
    different = differing(by_day, at_once)
    assert not different, f"seed {SEED}, {N_DAYS} days"


def test_what_people_added_outlives_builds_that_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One build after another stops, at each place at which another part of it is done, and more comes in between."""
    home = make_home(tmp_path / "home")
    make_reference(home)
    days, settings = Days(home, SEED + 1), Settings(home=home.root)
    monkeypatch.setattr("ruam.build.run_dbt", _run)
    days.land(visits=600)
    build(settings)
    seen = {}
    for stop in _STOPS:
        days.land(visits=3)
        monkeypatch.setattr("ruam.build.run_dbt", _stop_at(stop))
        with pytest.raises(BuildError, match="stopped half-way"):
            build(settings)
        seen[stop] = kept(home)
    assert seen["int_persons__identified"] == dict.fromkeys(_CONTRIBUTED, 0)
    assert seen["int_persons__watched"]["fct_measure_cells"] >= seen["int_persons__affected"]["fct_measure_cells"] > 0
    for model in _CONTRIBUTED:
        assert seen[model][model] == 0, model
    assert seen["fct_measure_cells"]["fct_measure_persons"] > 0
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        bounds = connection.execute(
            "select count(distinct first_day), count(distinct last_month) from int_data__bounded"
        )
        assert bounds.fetchall() == [(1, 1)], (
            "a date moved, and all cells are made anew: nothing is added or taken away"
        )

    days.land(visits=3)
    monkeypatch.setattr("ruam.build.run_dbt", _run)
    assert not build(settings).is_full_refresh
    assert kept(home) == dict.fromkeys(_CONTRIBUTED, 0)
    by_day = contents(home)
    assert build(settings, full_refresh=True).is_full_refresh
    assert kept(home) == {}
    assert not differing(by_day, contents(home))


def test_a_full_build_forgets_what_people_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of changes that stopped is of no use to it, and it takes part in none after it."""
    home = make_home(tmp_path / "home")
    make_reference(home)
    days, settings = Days(home, SEED), Settings(home=home.root)
    monkeypatch.setattr("ruam.build.run_dbt", _run)
    days.land(visits=60)
    build(settings)
    days.land(visits=3)
    monkeypatch.setattr("ruam.build.run_dbt", _stop_at("int_persons__watched"))
    with pytest.raises(BuildError, match="stopped half-way"):
        build(settings)
    assert all(kept(home)[model] for model in _CONTRIBUTED)
    run_dbt(["run", "--full-refresh", "--select", "dim_dates"], home)
    assert kept(home) == {}
