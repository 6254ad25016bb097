"""RED-06 and the windows it is made of, held against plain Python and against one number with very many dispensings."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import duckdb
import polars as pl
import pytest

from ruam.home import DataHome

GRACE = {"main": 7, "0_days": 0, "14_days": 14}


class Supply(NamedTuple):
    """A row of int_dispensings__covered, as far as RED-06 reads it."""

    dispensing_key: str
    person_key: str
    substance: str
    hospcode: str
    dispensed_date: date
    time_serv: str | None
    cover_end: date
    strength: Decimal | None
    is_referred_out: bool

    @property
    def place(self) -> tuple[date, bool, str, str, str]:
        return self.dispensed_date, self.time_serv is None, self.time_serv or "", self.hospcode, self.dispensing_key


@pytest.fixture(scope="module")
def red_06(built_home: DataHome) -> str:
    """The model as compiled, reading the table `supplies`."""
    compiled = built_home.dbt / "target" / "compiled" / "ruam" / "models" / "measures" / "msr_red_06.sql"
    return compiled.read_text(encoding="utf-8").replace('"warehouse"."main"."int_dispensings__covered"', "supplies")


def connection_with(rows: str, given: pl.DataFrame | None = None) -> duckdb.DuckDBPyConnection:
    """`rows` is a query for the columns of `Supply`, which may read `given`."""
    connection = duckdb.connect()
    if given is not None:
        connection.register("given", given)
    connection.execute(
        "create table supplies as select *, person_key as wide_person_key, 'A' as person_tier, 'opd' as setting, "
        f"true as is_chronic, true as is_oral_or_inhaled, '54' as treatment_province_code, 1.0 as price from ({rows})"
    )
    return connection


def random_supplies(n: int, seed: int) -> list[Supply]:
    """Few people, facilities, days and strengths, so that all sorts of ties and changes of the lead come about."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    rows = []
    for number in range(n):
        start = date(2025, 1, 1) + timedelta(draw.randrange(60))
        rows.append(
            Supply(
                dispensing_key=f"{number:05}",
                person_key=f"p{draw.randrange(n // 25)}",
                substance=draw.choice(["C08CA01", "C09AA02"]),
                hospcode=draw.choice(["10001", "10002", "10003", "1"]),
                dispensed_date=start,
                time_serv=draw.choice([None, "080000", "120000"]),
                cover_end=start + timedelta(draw.randrange(45)),
                strength=draw.choice([None, Decimal(5), Decimal(10)]),
                is_referred_out=draw.random() < 0.1,
            )
        )
    return rows


def overlap_in_plain_words(supply: Supply, all_supplies: Iterable[Supply]) -> int:
    """Days shared with the furthest cover of an earlier supply from elsewhere; 0 when the later strength is lower."""
    earlier = [
        other
        for other in all_supplies
        if (other.person_key, other.substance) == (supply.person_key, supply.substance)
        and other.hospcode != supply.hospcode
        and other.place < supply.place
        and not other.is_referred_out
    ]
    if not earlier:
        return 0
    # Ties go by facility, shorter codes first as in padded text, then by strength.
    furthest = max(earlier, key=lambda other: (other.cover_end, other.hospcode.rjust(9), other.strength or -1))
    if supply.strength is not None and furthest.strength is not None and supply.strength < furthest.strength:
        return 0
    return (min(furthest.cover_end, supply.cover_end) - supply.dispensed_date).days + 1


def test_windows_find_what_comparing_every_pair_finds(red_06: str) -> None:
    supplies = random_supplies(600, seed=6)
    columns = {**dict.fromkeys(Supply._fields, pl.String()), "dispensed_date": pl.Date(), "cover_end": pl.Date()}
    columns |= {"strength": pl.Decimal(18, 4), "is_referred_out": pl.Boolean()}
    connection = connection_with("from given", pl.DataFrame(supplies, schema=columns, orient="row"))
    flagged = set(connection.sql(f"select event_key, variant from ({red_06}) where is_numerator").fetchall())
    overlaps = {supply.dispensing_key: overlap_in_plain_words(supply, supplies) for supply in supplies}
    expected = {(key, name) for key, days in overlaps.items() for name, grace in GRACE.items() if days > grace}
    expected |= {(key, "wide") for key, name in expected if name == "main"}
    assert flagged == expected
    assert 100 < len(expected) < len(supplies) * 4


def test_one_number_with_150_000_dispensings_takes_no_longer_than_many_people(red_06: str) -> None:
    connection = connection_with(
        "select range::varchar as dispensing_key, 'dummy' as person_key, 'C08CA01' as substance,"
        " (10000 + range % 900)::varchar as hospcode, date '2024-01-01' + (range % 720)::integer as dispensed_date,"
        " null::varchar as time_serv, date '2024-01-01' + (range % 720 + 29)::integer as cover_end,"
        " null::decimal(18, 4) as strength, false as is_referred_out from range(150000)"
    )
    # 11 thousand million pairs would take minutes; the windows take seconds, however busy the machine is.
    limit = threading.Timer(60, connection.interrupt)
    limit.start()
    try:
        (n_flagged,) = connection.sql(
            f"select count(*) from ({red_06}) where is_numerator and variant = 'main'"
        ).fetchall()[0]
    finally:
        limit.cancel()
    # The first facility's own of the first day, every 3,600th row, have nothing before them.
    assert n_flagged == 150_000 - 42
