"""Rows that their sender withdrew do not stand, in whatever order rows and requests arrive.

Every way in which an old row, a request and a second row can be spread over three builds is a visit of its own, so that
three builds one after another try them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from itertools import product

import duckdb
import pytest

from ruam.dbt import run_dbt
from ruam.home import DataHome
from tests.warehouse.landing_factory import Row, make_home, write_batch

pytestmark = pytest.mark.slow

SENDER, OTHER = "10001", "10002"
DAY = date(2025, 1, 5)
BEFORE, REQUESTED, AFTER = (datetime.fromisoformat(f"2025-01-{day} 08:00") for day in ("10", "20", "30"))
SECOND_ROW = {"newer": AFTER, "equal": REQUESTED, "older": datetime.fromisoformat("2025-01-15"), "undated": None}

MODELS = ("service", "diagnosis_opd", "chronic", "person")
_RUN = ["run", "--select", *(f"+stg_f43__{model}" for model in MODELS)]

WAYS = [(kind, steps) for kind in SECOND_ROW for steps in product(range(3), repeat=3)]
"""What the second row is, and in which step the old row, the request and the second row come."""


def name(kind: str, steps: Iterable[int]) -> str:
    return f"{kind}-{''.join(map(str, steps))}"


def rows_of(seq: str, stamp: datetime | None, delivery: str, hospcode: str = SENDER) -> dict[str, Row]:
    """A visit, a diagnosis, a chronic disease and a person, all of them known by `seq`."""
    every: Row = {"hospcode": hospcode, "pid": seq, "d_update": stamp, "delivery_id": delivery}
    return {
        "service": {**every, "seq": seq, "date_serv": DAY},
        "diagnosis_opd": {**every, "seq": seq, "date_serv": DAY, "diagcode": "J06.9"},
        "chronic": {**every, "date_diag": DAY, "chronic": "e11.9"},
        "person": every,
    }


def requests_for(seq: str, delivery: str, stamp: datetime = REQUESTED) -> list[Row]:
    """Requests that name those rows; codes are written otherwise, and the visit under another person's number."""
    every: Row = {"hospcode": SENDER, "d_update": stamp, "delivery_id": delivery}
    visit: Row = {**every, "pid": "of another", "seq": seq, "date_serv": DAY}
    named: list[Row] = [
        {**visit, "file": "SERVICE"},
        {**visit, "file": "DIAGNOSIS_OPD", "diagcode": "j069"},
        {**every, "file": "CHRONIC", "pid": seq, "date_diag": DAY, "chronic": "E119"},
        {**every, "file": "PERSON", "pid": seq},
    ]
    return [{**row, "position": position} for position, row in enumerate(named, start=1)]


def land_step(home: DataHome, step: int) -> str:
    """One delivery of the sender, and one of another facility that gives its rows the same numbers."""
    own, other = f"delivery-{step}", f"other-{step}"
    tables: dict[str, list[Row]] = {model: [] for model in (*MODELS, "withdrawals")}
    for kind, (old, request, second) in WAYS:
        seq = name(kind, (old, request, second))
        sent = [rows_of(seq, BEFORE, own)] * (old == step) + [rows_of(seq, SECOND_ROW[kind], own)] * (second == step)
        sent += [rows_of(seq, BEFORE, other, OTHER)] * (old == step)
        for rows in sent:
            for model, row in rows.items():
                tables[model].append(row)
        if request == step:
            tables["withdrawals"] += requests_for(seq, own)
    if step == 1:
        tables["withdrawals"] += requests_for(name("newer", (0, 0, 0)), own)
        tables["withdrawals"] += requests_for(name("equal", (0, 0, 0)), own, stamp=BEFORE)
    numbered = [{**row, "source_line": line} for line, row in enumerate(tables["withdrawals"], start=2)]
    senders = {own: (SENDER, datetime(2025, 2, 1 + step)), other: (OTHER, datetime(2025, 2, 1 + step))}  # noqa: DTZ001
    return write_batch(home, "01", f"batch-{step}", senders, {**tables, "withdrawals": numbered})


def standing(home: DataHome, hospcode: str) -> dict[str, list[tuple[object, ...]]]:
    """What each staging model holds of a facility: number and time of change."""
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return {
            model: connection.execute(
                f"select pid, d_update from stg_f43__{model} where hospcode = ? order by all", [hospcode]
            ).fetchall()
            for model in MODELS
        }


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[DataHome]:
    """All at once; and in three builds, the last of them repeated."""
    made = []
    for order in ([(0, 1, 2)], [(0,), (1,), (2,), ()]):
        home = make_home(tmp_path_factory.mktemp("withdrawals"))
        new: list[str] = []
        for steps in order:
            new = [land_step(home, step) for step in steps] or new
            run_dbt(_RUN, home, batches=new)
        made.append(home)
    return made


@pytest.mark.parametrize("model", MODELS)
def test_only_rows_newer_than_the_request_stand_whatever_came_first(homes: list[DataHome], model: str) -> None:
    expected = [(name(kind, steps), AFTER) for kind, steps in WAYS if kind == "newer"]
    for home in homes:
        assert standing(home, SENDER)[model] == sorted(expected)


def test_nobody_withdraws_rows_of_another_facility(homes: list[DataHome]) -> None:
    expected = sorted((name(kind, steps), BEFORE) for kind, steps in WAYS)
    for home in homes:
        assert standing(home, OTHER) == dict.fromkeys(MODELS, expected)
