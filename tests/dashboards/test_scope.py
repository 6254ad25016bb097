"""SEC-3: whatever a page asks for, nobody gets a row of an area that is not theirs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import Area, Period
from dashboards.queries.scope import WITHOUT_AREAS, UnscopedTableError
from dashboards.queries.serving import Serving, connection, current_serving, fetch
from ruam.access import NATION, Level, Scope
from ruam.geography import province_names, region_of_province
from ruam.measures import MEASURE_GROUPS
from ruam.settings import REGIONS
from tests.dashboards.serving_factory import FACILITIES

PROVINCES = sorted(province_names())
FIGURES = [value for value in vars(figures).values() if isinstance(value, Figure)]
READS = {
    name: read
    for name, read in vars(reads).items()
    if inspect.isfunction(read)
    and read.__module__ == reads.__name__
    and not name.startswith("_")  # What reads share among themselves is tried through them.
    and "serving" in inspect.signature(read).parameters
}

regions = st.lists(st.sampled_from(REGIONS), min_size=1, max_size=3, unique=True)
provinces = st.lists(st.sampled_from(PROVINCES), min_size=1, max_size=3, unique=True)
scopes = st.one_of(
    regions.map(lambda codes: Scope(level=Level.REGION, codes=tuple(sorted(codes)))),
    provinces.map(lambda codes: Scope(level=Level.PROVINCE, codes=tuple(sorted(codes)))),
    st.just(Scope(level=Level.FACILITY, codes=("10713",))),
)
areas = st.one_of(
    st.just(reads.NATION),
    st.sampled_from(REGIONS).map(lambda code: Area(area_level="region", area_code=code)),
    st.sampled_from(PROVINCES).map(lambda code: Area(area_level="province", area_code=code)),
    st.just(Area(area_level="region", area_code="00")),
    st.sampled_from(sorted(FACILITIES)).map(lambda code: Area(area_level="facility", area_code=code)),
)
MONTH = Period(period_type="month", period_start=date(2024, 7, 1), period_end=date(2024, 7, 31))
YEAR = Period(period_type="last_12_months", period_start=date(2024, 4, 1), period_end=date(2025, 3, 31))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "figure": st.sampled_from(FIGURES),
    "area": areas,
    "places": st.lists(areas, max_size=4),
    "period": st.sampled_from([MONTH, YEAR]),
    "dimension": st.sampled_from(["facility_type", "right_group"]),
    "ids": st.sampled_from([[f"{one}-"] for one in (*MEASURE_GROUPS.values(), "UT")]),
    "measure_id": st.sampled_from(["RED-01", "UT-00"]),
    "region": st.none() | st.sampled_from(REGIONS),
    "level": st.sampled_from(["region", "province"]),
    "variant": st.just("main"),
    "dimension_set": st.sampled_from(["all", "sex"]),
    "area_code": st.none() | st.sampled_from(["04", "50"]),
    "period_type": st.sampled_from(["month", "last_12_months"]),
    "period_start": st.none() | st.just(date(2024, 7, 1)),
    "province": st.sampled_from(sorted(province_names())),
    "weakness_id": st.sampled_from(["no_principal_diagnosis", "silent_facilities"]),
    "phase": st.none() | st.integers(1, 4),
    "months": st.just(["2025-02-01", "2025-03-01"]),
    "facility_type": st.none() | st.just("05"),
    "profile": st.just(figures.FACILITY_PROFILE),
    "rule_code": st.just("visit_without_diagnosis"),
}
COUNTS = {
    "numerator", "denominator", "n_persons", "n_visits", "n_reports_received", "n_registered_persons", "n_reports",
    "score", "n_broken", "n_checked", "n_peers",
}  # fmt: skip


def may_see(scope: Scope, level: str, code: str) -> bool:
    """As the rule is told to people, apart from the code under test: the nation, one's own, and what lies below it."""
    if level == "nation" or scope == NATION:
        return True
    if level == scope.level:
        return code in scope.codes
    if level == "province":
        return scope.level is Level.REGION and region_of_province(code) in scope.codes
    if level in ("district", "facility"):
        return may_see(scope, "province", FACILITIES[code][1] if level == "facility" else code[:2])
    return False


def outside(rows: pl.DataFrame, scope: Scope) -> Iterator[dict[str, Any]]:
    """Rows that tell of an area which is not the viewer's."""
    for row in rows.iter_rows(named=True):
        if "area_level" in row:
            seen = may_see(scope, row["area_level"], row["area_code"])
        elif "treatment_code" in row:
            level = row.get("home_level", "region")
            seen = any(may_see(scope, level, row[end]) for end in ("home_code", "treatment_code"))
        elif "hospcode" in row:
            seen = may_see(scope, "facility", row["hospcode"])
        elif "province_code" in row:
            seen = may_see(scope, "province", row["province_code"])
        elif "area_code" in row:
            seen = may_see(scope, "region", row["area_code"])
        else:
            continue
        if not seen:
            yield row


@cache
def serving_of(home: Path, scope: Scope) -> Serving:
    serving = current_serving(home / "serving", scope)
    assert serving is not None
    return serving


def tables(home: Path) -> list[str]:
    with connection(str(serving_of(home, NATION).path)).cursor() as cursor:
        return [name for (name,) in cursor.execute("select table_name from duckdb_tables()").fetchall()]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scope=scopes)
def test_no_published_table_gives_a_row_of_another_area(published_home: Path, scope: Scope) -> None:
    for table in tables(published_home):
        rows = fetch(serving_of(published_home, scope), f"select * from {table}")
        assert list(outside(rows, scope)) == [], table


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scope=scopes, name=st.sampled_from(sorted(READS)), data=st.data())
def test_no_registered_read_gives_a_row_of_another_area(
    published_home: Path, scope: Scope, name: str, data: st.DataObject
) -> None:
    read: Callable[..., Any] = READS[name]
    parameters = set(inspect.signature(read).parameters) - {"serving"}
    # Of all tables of figures, one is broken down by dimensions.
    cut = st.sampled_from(figures.UTILIZATION)
    fitting = {"figure": cut} if {"dimension", "variant"} & parameters else {}
    if "variant" in parameters:
        fitting["figure"] = cut | st.just(figures.SAME_DAY_REPEAT)
    wanted = {key: data.draw((VALUES | fitting)[key], key) for key in sorted(parameters)}
    found = read(serving_of(published_home, scope), **wanted)
    if isinstance(found, pl.DataFrame):
        assert list(outside(found, scope)) == []
    if name == "seen":
        assert all(may_see(scope, area.area_level, area.area_code) for area in found)
    area = wanted.get("area")
    if area is not None and not may_see(scope, area.area_level, area.area_code):
        # Of an area that is not the viewer's no count comes back, in whatever shape.
        if isinstance(found, pl.DataFrame):
            assert all(found[column].null_count() == found.height for column in COUNTS & set(found.columns))
        else:
            assert found in (None, False)  # Or that it is not seen.


def test_every_read_is_tried() -> None:
    for name, read in READS.items():
        parameters = set(get_type_hints(read)) - {"serving", "return"}
        assert parameters <= VALUES.keys(), f"{name}: say above what its parameters may be"


def test_the_nation_is_seen_by_all_and_the_whole_by_the_nation(published_home: Path) -> None:
    sql = "select area_level, count(*) as n from agg_utilization group by area_level"
    everything = dict(fetch(serving_of(published_home, NATION), sql).iter_rows())
    assert everything.keys() == {"nation", "region", "province"}
    regional = dict(fetch(serving_of(published_home, Scope(level=Level.REGION, codes=("04",))), sql).iter_rows())
    assert regional["nation"] == everything["nation"]
    assert 0 < regional["region"] < everything["region"]
    assert 0 < regional["province"] < everything["province"]
    own = dict(fetch(serving_of(published_home, Scope(level=Level.FACILITY, codes=("10713",))), sql).iter_rows())
    assert own == {"nation": everything["nation"]}


def test_what_one_viewer_was_shown_never_comes_to_another(published_home: Path) -> None:
    """SEC-6: the same statement with the same values, one after the other, through the one cache."""
    area, figure = Area(area_level="region", area_code="05"), figures.VISITS
    nation, region = (serving_of(published_home, scope) for scope in (NATION, Scope(level=Level.REGION, codes=("04",))))
    assert reads.figure_of(nation, figure, area, YEAR).height == 1
    assert reads.figure_of(region, figure, area, YEAR).height == 0
    assert reads.figure_of(nation, figure, area, YEAR).height == 1


@pytest.mark.parametrize(
    "sql",
    [
        "select * from main.agg_utilization",
        "select * from query_table('agg_utilization')",
        "select (select count(*) from main.agg_utilization)",
        "from duckdb_tables()",
        "select 1; select * from agg_utilization",
        "with agg_utilization as (select * from main.agg_utilization) select * from agg_utilization",
    ],
)
def test_no_statement_gets_past_the_filter(published_home: Path, sql: str) -> None:
    with pytest.raises(UnscopedTableError):
        fetch(serving_of(published_home, Scope(level=Level.REGION, codes=("04",))), sql)


def test_a_table_that_does_not_say_of_what_areas_it_is_is_refused_to_everyone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "x.duckdb")) as writing:
        writing.execute("create table agg_new as select '10713' as hcode, 5 as n")
        writing.execute("create table agg_facilities as select unnest(['10713', '10714']) as hospcode, 5 as n")
    for scope in (NATION, Scope(level=Level.FACILITY, codes=("10713",))):
        serving = Serving(tmp_path / "x.duckdb", "x", scope)
        with pytest.raises(UnscopedTableError, match="agg_new"):
            fetch(serving, "select * from agg_new")
        assert fetch(serving, "select * from agg_facilities").height == (2 if scope == NATION else 1)


def test_tables_without_areas_hold_none(published_home: Path) -> None:
    with connection(str(serving_of(published_home, NATION).path)).cursor() as cursor:
        for table in WITHOUT_AREAS & set(tables(published_home)):
            columns = {row[0] for row in cursor.execute(f"describe {table}").fetchall()}
            assert not columns & {"area_code", "province_code", "region_code", "hospcode", "home_code"}, table


@pytest.mark.parametrize(
    ("level", "codes", "seen"),
    [
        (Level.REGION, ("01",), {"10713", "11119", "10674", "5001", "5002", "5701"}),
        (Level.PROVINCE, ("57",), {"10674", "5701"}),
        (Level.FACILITY, ("10713",), {"10713"}),
    ],
)
def test_districts_and_facilities_are_of_their_province(
    published_home: Path, level: Level, codes: tuple[str, ...], seen: set[str]
) -> None:
    serving = serving_of(published_home, Scope(level=level, codes=codes))
    for table in ("dim_areas", "agg_scorecards", "agg_rule_results", "agg_finding_changes"):
        rows = fetch(serving, f"select distinct area_code from {table} where area_level in ('district', 'facility')")
        assert set(rows["area_code"]) == seen, table
