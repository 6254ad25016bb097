"""From zips to visits: what copies, late and corrected deliveries come to, in any order and any number of builds."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ruam.dbt import run_dbt
from ruam.home import DataHome
from ruam.settings import Settings
from tests.ingestion.odd_zips import SENDER, make_zip, row, text, zip_name
from tests.ingestion.reading import take_in

_RUN = [
    *("build", "--select", "+fct_visits", "+fct_diagnoses"),
    *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
]


def visit(seq: str, updated: str, price: str) -> dict[str, str]:
    return row("SERVICE", SEQ=seq, D_UPDATE=f"{updated}083000", PRICE=price)


def diagnosis(seq: str, code: str) -> dict[str, str]:
    return row("DIAGNOSIS_OPD", SEQ=seq, DIAGCODE=code, D_UPDATE="20240501083000")


def withdrawal(seq: str, updated: str, table: str = "SERVICE", more: str = "") -> dict[str, str]:
    key = f'{{"PID": "1001", "SEQ": "{seq}", "DATE_SERV": "20240501"{more}}}'
    return row("DATA_CORRECT", TABLENAME=table, DATA_CORRECT=key, D_UPDATE=f"{updated}120000")


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("zips")

    def delivery(name: str, sent_on: str, **rows: list[dict[str, str]]) -> Path:
        members = {f"{file}.txt": text(file, *of_file) for file, of_file in rows.items()}
        return make_zip(folder / name / zip_name(SENDER, f"{sent_on}120000"), members)

    made = {
        # A diagnosis comes one delivery before its visit, another one long before its withdrawal.
        "first": delivery(
            "first",
            "20240601",
            SERVICE=[visit("again", "20240601", "10"), visit("wrong", "20240601", "10")],
            DIAGNOSIS_OPD=[diagnosis("late parent", "I10"), diagnosis("again", "J00"), diagnosis("again", "J06.9")],
        ),
        "namesake": delivery("namesake", "20240601", SERVICE=[visit("of namesake", "20240601", "30")]),
        "late": delivery("late", "20240515", SERVICE=[visit("again", "20240510", "1"), visit("tie", "20240510", "5")]),
        "next": delivery(
            "next",
            "20240701",
            SERVICE=[
                visit("again", "20240620", "20"),
                visit("tie", "20240510", "6"),
                visit("late parent", "20240620", "7"),
            ],
        ),
        "requests": delivery(
            "requests",
            "20240702",
            DATA_CORRECT=[
                withdrawal("wrong", "20240620"),
                withdrawal("again", "20240615"),
                withdrawal("again", "20240615", "DIAGNOSIS_OPD", ', "DIAGCODE": "J069"'),
                withdrawal("sent anew", "20240620"),
            ],
        ),
        "anew": delivery("anew", "20240703", SERVICE=[visit("sent anew", "20240703", "8")]),
    }
    made["copy"] = folder / "copy" / zip_name(SENDER, "20240801120000")
    made["copy"].parent.mkdir()
    shutil.copy(made["first"], made["copy"])
    return made


@pytest.fixture(scope="module")
def homes(ready_home: Path, zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[DataHome]:
    """All zips at once; and a few at a time, withdrawals before their rows, late ones last, each time with a build."""
    made = []
    for steps in (
        [list(zips)],
        [["requests", "copy"], ["next", "first"], ["anew", "namesake", "late", "requests"]],
    ):
        settings = Settings(home=Path(shutil.copytree(ready_home, tmp_path_factory.mktemp("zips") / "home")))
        for names in steps:
            report = take_in(settings, *(zips[name] for name in names))
            run_dbt(_RUN, settings.data_home, batches=report.batches)
        made.append(settings.data_home)
    return made


def rows(home: DataHome, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_each_visit_is_what_its_newest_standing_row_says(homes: list[DataHome]) -> None:
    expected = [
        ("again", Decimal(20)),  # newest D_UPDATE, though an older delivery came late and a request lies between
        ("late parent", Decimal(7)),
        ("of namesake", Decimal(30)),  # another zip of the same name is another delivery
        ("sent anew", Decimal(8)),  # after the request
        ("tie", Decimal(6)),  # equal D_UPDATE: the later time in the zip's name
    ]
    for home in homes:
        assert rows(home, "select seq, price from fct_visits order by seq") == expected


def test_diagnoses_wait_for_their_visit_and_go_when_withdrawn(homes: list[DataHome]) -> None:
    for home in homes:
        found = rows(
            home,
            "select v.seq, d.diagnosis_code, d.is_orphan from fct_diagnoses as d "
            "left join fct_visits as v on d.visit_key = v.visit_key order by v.seq",
        )
        assert found == [("again", "J00", False), ("late parent", "I10", False)]


def test_the_order_of_deliveries_and_builds_leaves_no_trace(homes: list[DataHome]) -> None:
    for table in ("stg_f43__service", "stg_f43__diagnosis_opd", "fct_visits", "fct_diagnoses"):
        once, stepwise = (rows(home, f"select * from {table} order by all") for home in homes)
        assert once == stepwise, table


def test_a_content_under_two_names_is_one_delivery_with_two_receipts(homes: list[DataHome]) -> None:
    for home in homes:
        receipts = rows(
            home,
            "select delivery_id, count(*), min(sent_at)::date::varchar from stg_ruam__receipts "
            "group by all having count(*) > 1",
        )
        assert [(n, sent) for _, n, sent in receipts] == [(2, "2024-06-01")]
