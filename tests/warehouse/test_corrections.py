"""A corrected record moves its flag: on the fixtures of each measure's unit test, worked out anew after one correction.

That a build recomputes whom a correction reaches, and nobody else, is shown by test_incremental.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import duckdb
import pytest
import yaml

from ruam.home import DataHome
from ruam.settings import PROJECT

pytestmark = pytest.mark.slow

MEASURES = PROJECT / "models" / "measures"


class Correction(NamedTuple):
    """What is sent anew, and the event of the variant `main` that had been flagged."""

    table: str
    change: str
    """`set` and `where` of an update."""
    event: str
    """Condition on the measure's events."""
    stays: bool = True
    """Whether the event stays in the denominator."""


CORRECTIONS = {
    "RED-01": Correction(
        "int_visits__qualified", "typeout = '3' where visit_key = 'hit_first'", "event_key = 'hit_second'"
    ),
    "RED-02": Correction("int_visits__qualified", "typeout = '3' where visit_key = 'one_0'", "event_key = 'one_1'"),
    "RED-03": Correction("int_visits__chained", "hospcode = '10001' where visit_key = 'hit_2'", "event_key = 'hit'"),
    "RED-04": Correction(
        "fct_procedures", "body_region = 'hip' where procedure_key = 'edge_0'", "event_key = 'edge_90'"
    ),
    "RED-05": Correction(
        "fct_lab_results", "result_value = null where lab_result_key = 'edge_0'", "event_key = 'edge_59'"
    ),
    "RED-06": Correction(
        "int_dispensings__covered", "cover_end = '2025-01-29' where dispensing_key = 'hit_1'", "event_key = 'hit_2'"
    ),
    "RED-07": Correction(
        "int_dispensings__covered",
        "cover_end = '2025-03-20' where dispensing_key = 'hit_1'",
        "person_key = 'hit' and event_date = '2025-04-01'",
    ),
    "RED-08": Correction("fct_visits", "price = 107 where visit_key = 'again'", "event_key = 'again'"),
    "RED-09": Correction(
        "int_visits__qualified",
        "hospcode = '10001' where person_key = 'spread'",
        "person_key = 'spread' and event_date = '2025-03-31'",
    ),
    "NEC-01": Correction(
        "int_episodes__summarized", "is_planned = true where episode_key = 'day_30_2'", "event_key = 'day_30_1'"
    ),
    "NEC-02": Correction(
        "fct_admissions", "discharge_type = '9' where admission_key = 'asthma'", "event_key = 'asthma'", stays=False
    ),
    "NEC-03": Correction("fct_accidents", "triage_level = '2' where person_key = 'level_5'", "event_key = 'level_5'"),
    "NEC-04": Correction("int_visits__qualified", "typein = '3' where visit_key = 'cold'", "event_key = 'cold'"),
    "NEC-05": Correction(
        "int_visits__qualified",
        "hospcode = '10002' where person_key = 'half'",
        "person_key = 'half' and event_date = '2025-03-31'",
    ),
    "NEC-06": Correction(
        "int_visits__qualified",
        "is_necessary_repeat = true where rowid = (select min(rowid) from int_visits__qualified "
        "where person_key = 'over_30' and visit_class = 'OP' and not is_necessary_repeat)",
        "person_key = 'over_30' and event_date = '2025-03-31'",
    ),
    "UNR-01": Correction("fct_dispensings", "atc_code = 'N02BE01' where visit_key = 'hit'", "event_key = 'hit'"),
    "UNR-02": Correction(
        "int_visits__indexed", "typeout = '2' where visit_key = 'hit'", "event_key = 'hit'", stays=False
    ),
    "UNR-03": Correction("fct_dispensings", "atc_code = 'D06AX01' where visit_key = 'hit'", "event_key = 'hit'"),
    "UNR-04": Correction(
        "int_dispensings__covered",
        "substance = 'M01AE01' where dispensing_key = 'hit_2'",
        "person_key = 'hit' and event_date = '2025-04-01'",
    ),
    "UNR-05": Correction(
        "int_dispensings__covered",
        "substance = 'C09BB02' where person_key = 'together' and substance = 'C09DB01'",
        "event_key = 'together'",
    ),
    "UNR-06": Correction(
        "fct_dispensings",
        "atc_code = 'N02BE01' where person_key = 'diagnosed' and dispensed_date < '2025-04-01'",
        "person_key = 'diagnosed' and event_date = '2025-01-01'",
    ),
    "UNR-07": Correction(
        "dim_persons",
        "birth_month = '1970-01-01' where person_key = 'old'",
        "person_key = 'old' and event_date = '2025-01-01'",
        stays=False,
    ),
    "UNR-08": Correction(
        "fct_procedures", "procedure_date = '2025-02-17' where person_key = 'day_42'", "event_key = 'day_42'"
    ),
    "UNR-09": Correction(
        "fct_procedures", "procedure_date = '2025-01-20' where person_key = 'day_14'", "event_key = 'day_14'"
    ),
    "UNR-10": Correction("fct_procedures", "body_region = 'chest' where person_key = 'hit'", "event_key = 'hit'"),
    "UNR-11": Correction("fct_procedures", "modality = 'mri' where person_key = 'hit'", "event_key = 'hit'"),
    "UNR-12": Correction(
        "fct_dispensings",
        "atc_code = 'C08CA01' where person_key = 'ten' and atc_code = 'R03DA04'",
        "person_key = 'ten' and event_date = '2025-01-01'",
    ),
}


def fixtures(model: str) -> Iterator[tuple[str, list[Mapping[str, Any]] | str | None]]:
    """Each input of the model's first unit test with its rows, or a query for them; None where it is a whole seed."""
    described = yaml.safe_load((MEASURES / f"{model}.yml").read_text(encoding="utf-8"))
    for given in described["unit_tests"][0]["given"]:
        (name,) = re.findall(r"ref\('(\w+)'\)", given["input"])
        yield name, given.get("rows")


def connection_with_fixtures(home: DataHome, model: str) -> duckdb.DuckDBPyConnection:
    """The fixtures as tables, with the columns that they have in the warehouse."""
    connection = duckdb.connect()
    connection.execute(f"attach '{home.warehouse}' as built (read_only)")
    for name, rows in fixtures(model):
        connection.execute(f"create table {name} as from built.main.{name}{'' if rows is None else ' limit 0'}")
        if isinstance(rows, str):
            connection.execute(f"insert into {name} by name {rows}")
            continue
        for row in rows or []:
            marks = ", ".join("?" * len(row))
            connection.execute(f"insert into {name} ({', '.join(row)}) values ({marks})", list(row.values()))
    return connection


@pytest.mark.parametrize("measure", CORRECTIONS)
def test_a_corrected_record_moves_its_flag(built_home: DataHome, measure: str) -> None:
    model, correction = f"msr_{measure.lower().replace('-', '_')}", CORRECTIONS[measure]
    compiled = built_home.dbt / "target" / "compiled" / "ruam" / "models" / "measures" / f"{model}.sql"
    sql = compiled.read_text(encoding="utf-8").replace('"warehouse"."main".', "")
    connection = connection_with_fixtures(built_home, model)

    def flags() -> list[tuple[bool]]:
        found = f"select is_numerator from ({sql}) where variant = 'main' and {correction.event}"
        return connection.execute(found).fetchall()

    assert flags() == [(True,)]
    connection.execute(f"update {correction.table} set {correction.change}")
    assert flags() == ([(False,)] if correction.stays else [])


def test_every_measure_has_a_correction() -> None:
    assert set(CORRECTIONS) == {path.stem[4:].upper().replace("_", "-") for path in MEASURES.glob("msr_*.sql")}
