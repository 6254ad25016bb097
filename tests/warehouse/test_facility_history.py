"""The registry's history: what was true of a facility on a day, whatever order its registries were loaded in."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from ingestion.reference import load
from ruam.dbt import run_dbt
from ruam.home import DataHome
from tests.warehouse.landing_factory import make_home

pytestmark = pytest.mark.slow

_RUN = ["build", "--select", "+dim_facility_spells", "+dim_facility_affiliations", "+dim_facilities"]
_COLUMNS = "hoscode,hosname,hostype,provcode,bed,mcode,status"

SPELLS, MOVED, GONE, NEW = "07001", "07002", "07003", "07004"
MOH, LOCAL = "21002", "75000"
FIRST, SECOND, THIRD, FOURTH = (date(2023, 10, 1), date(2024, 1, 1), date(2024, 4, 1), date(2024, 7, 1))
BEGIN, END = date(1900, 1, 1), date(9999, 12, 31)

REGISTRIES = {
    # A unit moves to local government: its type stays 18.
    FIRST: [f"{SPELLS},ก,07,65,30,{MOH},1", f"{MOVED},ข,18,65,,{MOH},1", f"{GONE},ค,18,65,,{MOH},1"],
    SECOND: [f"{SPELLS},ก,07,65,60,{MOH},1", f"{MOVED},ข,18,65,,{LOCAL},1", f"{GONE},ค,18,65,,{MOH},1"],
    THIRD: [f"{SPELLS},ก,07,65,60,{MOH},1", f"{MOVED},ข,18,65,,{LOCAL},1", f"{NEW},ง,18,64,,{LOCAL},1"],
    FOURTH: [
        f"{SPELLS},ก,06,65,60,{MOH},1",
        f"{MOVED},ข ใหม่,18,66,,{LOCAL},0",
        f"{GONE},ค,18,65,,{MOH},1",
        f"{NEW},ง (ยกเลิก),18,64,,{LOCAL},1",
    ],
}
MISTAKEN = [f"{SPELLS},ก,07,65,60,{LOCAL},1", "09999,ผิด,18,65,,21002,1"]
"""A first, wrong edition of the second registry; it is loaded again, corrected."""


def load_registry(home: DataHome, as_of: date, lines: list[str]) -> None:
    source = home.root / "registry.csv"
    source.write_text("\n".join([_COLUMNS, *lines, ""]), encoding="utf-8")
    load(home, "registry", source, as_of)


def rows(home: DataHome, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[DataHome]:
    """The registries loaded in the order of their days, with a build after each; and backwards, with one build."""
    forwards, backwards = (make_home(tmp_path_factory.mktemp("history")) for _ in range(2))
    for as_of, lines in REGISTRIES.items():
        if as_of == SECOND:
            load_registry(forwards, SECOND, MISTAKEN)
        load_registry(forwards, as_of, lines)
        run_dbt(_RUN, forwards)
    for as_of, lines in reversed(REGISTRIES.items()):
        if as_of == SECOND:
            load_registry(backwards, SECOND, MISTAKEN)
        load_registry(backwards, as_of, lines)
    run_dbt(_RUN, backwards)
    return [forwards, backwards]


SPELL_ROWS = [
    (SPELLS, BEGIN, date(2023, 12, 31), FIRST, FIRST, "ก", "07", 30, True),
    (SPELLS, SECOND, date(2024, 6, 30), SECOND, THIRD, "ก", "07", 60, True),
    (SPELLS, FOURTH, END, FOURTH, FOURTH, "ก", "06", 60, True),
    (MOVED, BEGIN, date(2023, 12, 31), FIRST, FIRST, "ข", "18", None, True),
    (MOVED, SECOND, date(2024, 6, 30), SECOND, THIRD, "ข", "18", None, True),
    (MOVED, FOURTH, END, FOURTH, FOURTH, "ข ใหม่", "18", None, False),
    # The third registry does not hold it.
    (GONE, BEGIN, date(2024, 3, 31), FIRST, SECOND, "ค", "18", None, True),
    (GONE, FOURTH, END, FOURTH, FOURTH, "ค", "18", None, True),
    (NEW, THIRD, date(2024, 6, 30), THIRD, THIRD, "ง", "18", None, True),
    (NEW, FOURTH, END, FOURTH, FOURTH, "ง", "18", None, False),
]
AFFILIATIONS = [
    (SPELLS, "moph", BEGIN, END),
    (MOVED, "moph", BEGIN, date(2023, 12, 31)),
    (MOVED, "local_government", SECOND, END),
    (GONE, "moph", BEGIN, END),
    (NEW, "local_government", BEGIN, END),
]


def test_each_spell_bears_the_days_of_its_registries_in_any_order_of_loading(homes: list[DataHome]) -> None:
    sql = (
        "select hospcode, valid_from, valid_to, seen_from, seen_to, name_th, facility_type_code, n_beds, is_open "
        "from dim_facility_spells order by hospcode, valid_from"
    )
    for home in homes:
        assert rows(home, sql) == SPELL_ROWS


def test_affiliation_leaves_no_day_out_and_changes_while_the_type_stays(homes: list[DataHome]) -> None:
    sql = "select hospcode, affiliation_group, valid_from, valid_to from dim_facility_affiliations order by 1, 3"
    for home in homes:
        assert rows(home, sql) == AFFILIATIONS


def test_the_registry_of_the_latest_day_is_the_current_one(homes: list[DataHome]) -> None:
    sql = "select hospcode, name_th, province_code, is_open from dim_facilities where hospcode <> '00000' order by 1"
    for home in homes:
        assert rows(home, sql) == [
            (SPELLS, "ก", "65", True),
            (MOVED, "ข ใหม่", "66", False),
            (GONE, "ค", "65", True),
            (NEW, "ง", "64", False),
        ]


def test_spells_of_a_facility_never_overlap(homes: list[DataHome]) -> None:
    sql = (
        "select * from dim_facility_spells as a inner join dim_facility_spells as b on a.hospcode = b.hospcode "
        "and a.valid_from < b.valid_from and a.valid_to >= b.valid_from"
    )
    assert rows(homes[0], sql) == []
