"""Publish: a disclosure-controlled file beside the last one, then an atomic switch of the pointer."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ruam import publish as publishing
from ruam.build import is_sound, last_build_id
from ruam.disclosure import controlled
from ruam.errors import BusyError, PublishError, SetupError
from ruam.files import locked
from ruam.gates import STOPPED
from ruam.home import DataHome
from ruam.publish import KEPT_FILES, POINTER, Publication, current, publish, published_marts
from ruam.stable import StableColumn, StableSchema, StableView
from tests.unit.verdicts import pass_checks

COUNTS = [0, 1, 9, 10, 12, 13, 4998, None]
LEDGER = """
create schema ruam;
create table ruam.builds (
    build_id varchar primary key, started_at timestamp, finished_at timestamp, status varchar,
    is_full_refresh boolean, n_batches integer, input_digest varchar, project_digest varchar, number integer
);
create table ruam.built_batches (batch varchar primary key);
"""


def node(name: str, columns: dict[str, bool], *, publish: bool = True, schema: str = "marts") -> dict[str, Any]:
    """A model of dbt's manifest; `columns` says which are counts."""
    return {
        "resource_type": "model",
        "name": name,
        "schema": schema,
        "config": {"meta": {"publish": True} if publish else {}},
        "columns": {
            column: {"config": {"meta": {"disclosure": "count"} if is_count else {}}}
            for column, is_count in columns.items()
        },
    }


def manifest() -> dict[str, Any]:
    nodes = [
        node("agg_utilization", {"area_code": False, "n_visits": True, "n_facilities": False}),
        node("publication", {"data_from": False, "n_deliveries": False}),
        node("fct_visits", {"person_key": False}, publish=False, schema="warehouse"),
    ]
    listed = {f"model.ruam.{one['name']}": one for one in nodes}
    return {"nodes": listed | {"test.ruam.x": {"resource_type": "test", "config": {"meta": {"publish": True}}}}}


STABLE = StableSchema(
    name="ruam_v1",
    left_out={},
    views=[
        StableView(
            name="utilization",
            table="agg_utilization",
            title_th="การใช้บริการ",
            description="One area.",
            key=["area_code"],
            columns=[
                StableColumn(name="area_code", type="varchar", title_th="พื้นที่", description="Area."),
                StableColumn(name="n_visits", type="bigint", count=True, title_th="ครั้ง", description="Visits."),
            ],
        )
    ],
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataHome:
    """A home with a tiny warehouse, its ledger, and the manifest of its build; other tools are offered as little."""
    monkeypatch.setattr(publishing, "stable_schema", lambda: STABLE)
    home = DataHome(tmp_path / "it's home")
    home.create()
    (home.dbt / "target").mkdir()
    (home.dbt / "target" / "manifest.json").write_text(json.dumps(manifest()), encoding="utf-8")
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(LEDGER)
        connection.execute("create schema marts; create schema warehouse")
        connection.execute("create table marts.agg_utilization (area_code varchar, n_visits hugeint, n_facilities int)")
        rows = [(f"{place:02d}", count, 3) for place, count in enumerate(COUNTS)]
        connection.executemany("insert into marts.agg_utilization values (?, ?, ?)", rows)
        connection.execute("create table marts.publication as select date '2024-10-01' as data_from, 7 as n_deliveries")
        connection.execute("create table warehouse.warehouse.fct_visits as select 'somebody' as person_key")
    build(home, "20241001T000000-aaaaaaaa", "succeeded", 1)
    return home


def build(home: DataHome, build_id: str, status: str, day: int) -> None:
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(
            "insert into ruam.builds (build_id, started_at, status, number) values (?, ?, ?, ?)",
            [build_id, datetime.fromisoformat(f"2024-10-0{day}"), status, day],
        )
    if status == "succeeded":
        pass_checks(home)


def reader(path: Path) -> duckdb.DuckDBPyConnection:
    """As the pages open the file."""
    return duckdb.connect(
        str(path), read_only=True, config={"enable_external_access": "false", "lock_configuration": "true"}
    )


def pointer(home: DataHome) -> dict[str, Any]:
    return json.loads((home.serving / POINTER).read_text(encoding="utf-8"))


def test_counts_are_controlled_and_the_rest_is_as_it_was(home: DataHome) -> None:
    done = publish(home)
    with reader(done.path) as connection:
        rows = connection.execute("from agg_utilization order by area_code").fetchall()
        columns = [one[0] for one in connection.description or []]
    assert columns == ["area_code", "n_visits", "n_visits_status", "n_facilities"]
    assert rows == [(f"{place:02d}", *controlled(count), 3) for place, count in enumerate(COUNTS)]
    assert (done.n_tables, done.n_rows) == (2, len(COUNTS) + 1)


def test_only_what_is_marked_is_published(home: DataHome) -> None:
    with reader(publish(home).path) as connection:
        tables = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
    assert sorted(tables) == [("main", "agg_utilization"), ("main", "publication"), ("ruam_v1", "utilization")]
    assert [mart.name for mart in published_marts(manifest())] == ["agg_utilization", "publication"]


def test_the_stable_schema_is_read_through_whatever_name_the_file_is_attached_by(home: DataHome) -> None:
    path = str(publish(home).path).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as published (read_only)")
        cursor = connection.execute("from published.ruam_v1.utilization order by area_code")
        assert [one[0] for one in cursor.description or []] == ["area_code", "n_visits", "n_visits_status"]
        assert cursor.fetchall() == [(f"{place:02d}", *controlled(count)) for place, count in enumerate(COUNTS)]


def test_a_broken_promise_leaves_the_last_publication_in_service(home: DataHome) -> None:
    before = publish(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("insert into marts.agg_utilization values ('00', 10, 1)")
    with pytest.raises(PublishError, match="a key"):
        publish(home)
    assert pointer(home)["run_id"] == before.run_id
    assert [path.name for path in home.serving.glob("*.duckdb")] == [before.path.name]


def test_the_file_says_what_it_is(home: DataHome) -> None:
    done = publish(home)
    with reader(done.path) as connection:
        row = connection.execute(
            "select run_id, ruam_version, disclosure_rule, n_deliveries from publication"
        ).fetchone()
    assert row is not None
    assert row[0] == done.run_id == pointer(home)["run_id"]
    assert row[0].endswith("aaaaaaaa")
    assert row[1]
    assert "<10" in row[2]
    assert row[3] == 7


def test_readers_can_reach_nothing_else(home: DataHome) -> None:
    with reader(publish(home).path) as connection:
        for attempt in (
            f"attach '{str(home.warehouse).replace(chr(39), chr(39) * 2)}' as w",
            "select * from read_text('/etc/hostname')",
            "copy agg_utilization to '/tmp/x.csv'",
            "set enable_external_access = true",
            "delete from agg_utilization",
            "create table x (a int)",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(attempt)


def test_the_pointer_names_the_newest_file_and_older_readers_go_on(home: DataHome) -> None:
    assert current(home) is None
    first = publish(home)
    assert current(home) == pointer(home)
    with reader(first.path) as connection:
        second = publish(home)
        assert connection.execute("select count(*) from agg_utilization").fetchone() == (len(COUNTS),)
    assert first.path != second.path
    assert pointer(home)["file"] == second.path.name
    assert first.path.exists()
    assert published_files(home) == sorted([first.path.name, second.path.name])


def published_files(home: DataHome) -> list[str]:
    """All files in service; anything else that was left there would show too, but for why nothing was published."""
    beside = (POINTER, STOPPED, ".lock")
    return sorted(path.name for path in home.serving.iterdir() if path.name not in beside)


def test_old_files_are_retired_and_the_newest_never(home: DataHome) -> None:
    runs = [publish(home) for _ in range(KEPT_FILES + 2)]
    assert published_files(home) == sorted(run.path.name for run in runs[-KEPT_FILES:])
    assert pointer(home)["file"] == runs[-1].path.name


def assert_nothing_changed(home: DataHome, before: Publication) -> None:
    assert published_files(home) == [before.path.name]
    assert pointer(home)["file"] == before.path.name
    with reader(before.path) as connection:
        assert connection.execute("select count(*) from agg_utilization").fetchone() == (len(COUNTS),)


@pytest.mark.parametrize("status", ["running", "failed"])
def test_after_an_unsound_build_nothing_is_published(home: DataHome, status: str) -> None:
    before = publish(home)
    build(home, "20241002T000000-bbbbbbbb", status, 2)
    assert not is_sound(home)
    assert last_build_id(home).endswith("aaaaaaaa")
    with pytest.raises(PublishError, match="did not succeed"):
        publish(home)
    assert_nothing_changed(home, before)
    build(home, "20241003T000000-cccccccc", "succeeded", 3)
    assert publish(home).run_id.endswith("cccccccc")


def test_a_count_that_slipped_through_stops_the_publication(home: DataHome, monkeypatch: pytest.MonkeyPatch) -> None:
    before = publish(home)
    monkeypatch.setattr(publishing, "controlled_sql", lambda name: f'"{name}", \'exact\' as "{name}_status"')
    with pytest.raises(PublishError, match="agg_utilization failed its check"):
        publish(home)
    assert_nothing_changed(home, before)


def test_a_negative_count_stops_the_publication(home: DataHome) -> None:
    before = publish(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("insert into marts.agg_utilization values ('99', -3, 1)")
    with pytest.raises(PublishError, match="agg_utilization failed its check"):
        publish(home)
    assert_nothing_changed(home, before)


def test_a_mart_that_is_not_there_changes_nothing(home: DataHome) -> None:
    before = publish(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("drop table marts.publication")
    with pytest.raises((PublishError, duckdb.Error)):
        publish(home)
    assert_nothing_changed(home, before)


def test_nothing_marked_is_said(home: DataHome) -> None:
    (home.dbt / "target" / "manifest.json").write_text('{"nodes": {}}', encoding="utf-8")
    with pytest.raises(PublishError, match="publish: true"):
        publish(home)
    (home.dbt / "target" / "manifest.json").unlink()
    with pytest.raises(PublishError):
        publish(home)
    assert current(home) is None


def test_without_a_build_or_a_home_nothing_is_published(tmp_path: Path) -> None:
    home = DataHome(tmp_path / "home")
    with pytest.raises(SetupError):
        publish(home)
    home.create()
    assert not is_sound(home)
    with pytest.raises(PublishError):
        publish(home)


@pytest.mark.parametrize("lock", ["serving/.lock", ".build.lock"])
def test_publishing_waits_for_nobody(home: DataHome, lock: str) -> None:
    with locked(home.root / lock, "It"), pytest.raises(BusyError):
        publish(home)
    assert publish(home).path.exists()


def test_a_crash_before_the_switch_leaves_the_last_version(home: DataHome, monkeypatch: pytest.MonkeyPatch) -> None:
    before = publish(home)
    replace = Path.replace

    def crash(path: Path, target: Path) -> Path:
        if target.name == POINTER:
            raise OSError("no space left")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="no space"):
        publish(home)
    monkeypatch.setattr(Path, "replace", replace)
    assert pointer(home)["file"] == before.path.name
    assert publish(home).path.name == pointer(home)["file"]


LATTICE = {"same": ["measure_id"], "areas": "dim_areas", "members": {"sex": ["sex"]}, "member_columns": ["member_1"]}
KEYS = (
    "measure_id",
    "area_level",
    "area_code",
    "period_type",
    "period_start",
    "period_end",
    "dimension_set",
    "member_1",
)


def with_lattice(home: DataHome, numerators: dict[tuple[str, str], int]) -> None:
    """Add a mart of rates: two provinces of a region of the nation, in one month; numerators by area and sex."""
    artifact = manifest()
    rates = node("agg_rates", dict.fromkeys(KEYS, False) | {"numerator": True, "rate": False})
    rates["config"]["meta"]["lattice"] = LATTICE
    rates["columns"]["rate"] = {"config": {"meta": {"disclosure": "derived", "of": ["numerator"]}}}
    artifact["nodes"]["model.ruam.agg_rates"] = rates
    (home.dbt / "target" / "manifest.json").write_text(json.dumps(artifact), encoding="utf-8")
    levels = {"TH": "nation", "07": "region", "40": "province", "44": "province"}
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("create table marts.dim_areas (area_level varchar, area_code varchar, parent_code varchar)")
        connection.executemany(
            "insert into marts.dim_areas values (?, ?, ?)",
            [("nation", "TH", None), ("region", "07", "TH"), ("province", "40", "07"), ("province", "44", "07")],
        )
        connection.execute(
            f"create table marts.agg_rates ({', '.join(f'{key} varchar' for key in KEYS)}, numerator int, rate double)"
        )
        connection.execute("alter table marts.agg_rates alter period_start type date")
        connection.execute("alter table marts.agg_rates alter period_end type date")
        for (area, sex), numerator in numerators.items():
            keys = [
                "RED-01",
                levels[area],
                area,
                "month",
                "2025-01-01",
                "2025-01-31",
                "all" if sex == "all" else "sex",
                sex,
            ]
            connection.execute(f"insert into marts.agg_rates values ({', '.join('?' * 10)})", [*keys, numerator, 0.5])


def published_rates(path: Path) -> dict[tuple[str, str], tuple[object, ...]]:
    with reader(path) as connection:
        rows = connection.execute(
            "select area_code, member_1, numerator, numerator_status, rate from agg_rates"
        ).fetchall()
    return {(area, sex): tuple(rest) for area, sex, *rest in rows}


def test_what_a_total_would_tell_of_a_small_count_is_withheld_with_what_is_worked_out_of_it(home: DataHome) -> None:
    """9 and 9 under a total of 18 are the only counts under 10 that make 20 when rounded."""
    with_lattice(home, {("TH", "all"): 18, ("07", "all"): 18, ("40", "all"): 9, ("44", "all"): 9})
    found = published_rates(publish(home).path)
    assert found["TH", "all"] == (20, "rounded", 0.5)
    assert found["40", "all"] == found["44", "all"] == (None, "withheld", None)


def test_what_no_total_tells_stays(home: DataHome) -> None:
    with_lattice(home, {("TH", "all"): 36, ("07", "all"): 36, ("40", "all"): 6, ("44", "all"): 30})
    found = published_rates(publish(home).path)
    assert {status for _, status, _ in found.values()} == {"below_10", "rounded"}
    assert found["44", "all"] == (30, "rounded", 0.5)


def test_members_are_held_against_the_whole(home: DataHome) -> None:
    with_lattice(home, {("40", "all"): 18, ("40", "1"): 9, ("40", "2"): 9})
    assert published_rates(publish(home).path)["40", "1"] == (None, "withheld", None)
