"""A country of five facilities and a handful of visits whose every figure can be worked out by hand."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from ruam.home import DataHome
from tests.warehouse.landing_factory import Row, make_home, write_batch, write_drugs, write_registry, write_rejected

PHRAE_CENTRE, PHRAE_COMMUNITY, ROI_ET_UNIT, BANGKOK_HOSPITAL, CLINIC = "10001", "10002", "20001", "30001", "40001"
UNKNOWN_FACILITY = "99999"

ANAN = "a" * 32
"""Pseudonym of a man known to two facilities."""
SOMSRI = "b" * 32
"""Pseudonym of a woman who has died."""

FIRST, CORRECTION, LATE = "batch-1", "batch-2", "batch-3"
BATCHES = (FIRST, CORRECTION, LATE)
REJECTED = "batch-of-rejected"
"""Comes along with the first."""

_FACILITIES: list[Row] = [
    {"hoscode": PHRAE_CENTRE, "hostype": "05", "provcode": "54", "mcode": "21000", "bed": 500},
    {"hoscode": PHRAE_COMMUNITY, "hostype": "07", "provcode": "54", "mcode": "21000", "bed": 30},
    {"hoscode": BANGKOK_HOSPITAL, "hostype": "12", "provcode": "10", "mcode": "75002", "bed": 400},
    {"hoscode": CLINIC, "hostype": "16", "provcode": "54", "mcode": "90000"},
]
_ROI_ET: Row = {"hoscode": ROI_ET_UNIT, "hostype": "18", "provcode": "45"}

_JANUARY = datetime.fromisoformat("2025-01-31 08:00")


def at(text: str) -> datetime:
    """A moment without a zone, as deliveries name it."""
    return datetime.fromisoformat(text)


def _person(hospcode: str, pid: str, typearea: str, pseudonym: str | None, delivery: str) -> Row:
    return {
        "hospcode": hospcode,
        "pid": pid,
        "cid_pseudonym": pseudonym,
        "cid_class": "valid" if pseudonym else "dummy",
        "sex": "1",
        "birth_month": date(1980, 5, 1),
        "nation": "099",
        "typearea": typearea,
        "discharge": "9",
        "d_update": _JANUARY,
        "delivery_id": delivery,
    }


def _visit(hospcode: str, pid: str, seq: str, day: date, delivery: str, **columns: object) -> Row:
    return {
        "hospcode": hospcode,
        "pid": pid,
        "seq": seq,
        "date_serv": day,
        "time_serv": "080000",
        "typein": "1",
        "typeout": "1",
        "instype": "0100",
        "price": 100,
        "d_update": _JANUARY,
        "delivery_id": delivery,
        **columns,
    }


def _diagnosis(hospcode: str, pid: str, seq: str, day: date, code: str, delivery: str) -> Row:
    return {
        "hospcode": hospcode,
        "pid": pid,
        "seq": seq,
        "date_serv": day,
        "diagtype": "1",
        "diagcode": code,
        "d_update": _JANUARY,
        "delivery_id": delivery,
    }


def _stay(an: str, pid: str, admitted: datetime, discharged: datetime) -> Row:
    return {
        "hospcode": PHRAE_CENTRE,
        "pid": pid,
        "an": an,
        "seq": an,
        "datetime_admit": admitted,
        "datetime_disch": discharged,
        "instype": "0100",
        "d_update": _JANUARY,
        "delivery_id": "phrae-1",
    }


def make_country(root: Path) -> DataHome:
    """A data home with the reference tables (one unit changed its affiliation) and nothing landed."""
    home = make_home(root)
    before = [*_FACILITIES, {**_ROI_ET, "mcode": "21000"}]
    after = [*_FACILITIES, {**_ROI_ET, "mcode": "75000"}]
    write_registry(home, before, "20240101T000000-1", date(2024, 1, 1))
    write_registry(home, after, "20250110T000000-2", date(2025, 1, 10))
    drug: Row = {"didstd": "1" * 24, "dname": "amlodipine", "atc": "C08CA01", "units_per_day": 1.0, "chronic": True}
    write_drugs(home, [drug], "20250101T000000-1", date(2025, 1, 1))
    return home


def land(home: DataHome, *batches: str) -> None:
    """Land the named batches of the country."""
    for batch in batches:
        {FIRST: _land_first, CORRECTION: _land_correction, LATE: _land_late}[batch](home)


def _land_first(home: DataHome) -> None:
    """What three facilities sent for January, with a diagnosis whose visit comes later."""
    deliveries = {
        "phrae-1": (PHRAE_CENTRE, at("2025-02-01")),
        "phrae-2": (PHRAE_COMMUNITY, at("2025-02-01")),
        "roi-et": (ROI_ET_UNIT, at("2025-02-01")),
    }
    fifth = date(2025, 1, 5)
    write_batch(
        home,
        "01",
        FIRST,
        deliveries,
        {
            "person": [
                _person(PHRAE_CENTRE, "1", "1", ANAN, "phrae-1"),
                _person(PHRAE_CENTRE, "2", "3", None, "phrae-1"),
                _person(PHRAE_COMMUNITY, "9", "4", ANAN, "phrae-2"),
                _person(ROI_ET_UNIT, "3", "1", SOMSRI, "roi-et"),
            ],
            "death": [
                {
                    "hospcode": ROI_ET_UNIT,
                    "pid": "3",
                    "ddeath": date(2025, 1, 25),
                    "d_update": _JANUARY,
                    "delivery_id": "roi-et",
                }
            ],
            "service": [
                _visit(PHRAE_CENTRE, "1", "1", fifth, "phrae-1", main=PHRAE_CENTRE),
                # The same clinic's second row of that day and person: one merged visit, two visits.
                _visit(PHRAE_CENTRE, "1", "2", fifth, "phrae-1", main=PHRAE_CENTRE, time_serv="093000"),
                _visit(PHRAE_CENTRE, "2", "3", fifth, "phrae-1", instype="ZZZZ"),
                _visit(PHRAE_COMMUNITY, "9", "1", fifth, "phrae-2", main=PHRAE_CENTRE, time_serv="100000"),
                _visit(PHRAE_COMMUNITY, "9", "2", date(2025, 1, 8), "phrae-2", main=PHRAE_CENTRE),
                _visit(PHRAE_COMMUNITY, "77", "3", date(2025, 2, 1), "phrae-2", main=UNKNOWN_FACILITY),
                _visit(ROI_ET_UNIT, "3", "1", date(2025, 1, 9), "roi-et", main=PHRAE_CENTRE),
                _visit(ROI_ET_UNIT, "3", "2", date(2025, 1, 20), "roi-et", main=ROI_ET_UNIT, typein="4"),
            ],
            "diagnosis_opd": [
                _diagnosis(PHRAE_CENTRE, "1", "1", fifth, "j06.9", "phrae-1"),
                _diagnosis(PHRAE_COMMUNITY, "9", "1", fifth, "J060", "phrae-2"),
                _diagnosis(PHRAE_COMMUNITY, "9", "2", date(2025, 1, 8), "J069", "phrae-2"),
                _diagnosis(PHRAE_CENTRE, "1", "999", date(2025, 2, 1), "I10", "phrae-1"),
            ],
            "admission": [
                _stay("A1", "1", at("2025-01-10 20:00"), at("2025-01-10 23:00")),
                _stay("A2", "2", at("2025-01-29 23:00"), at("2025-02-01 09:00")),
            ],
        },
    )
    write_rejected(home, REJECTED, "nobody", at("2025-02-01"))


def _land_correction(home: DataHome) -> None:
    """A newer row of one visit."""
    corrected = _visit(
        PHRAE_CENTRE, "1", "1", date(2025, 1, 5), "phrae-3", main=PHRAE_CENTRE, price=250, d_update=at("2025-02-20")
    )
    deliveries = {"phrae-3": (PHRAE_CENTRE, at("2025-03-01"))}
    write_batch(home, "01", CORRECTION, deliveries, {"service": [corrected]})


def _land_late(home: DataHome) -> None:
    """An older delivery that arrives last: a stale row of that visit, a tie that it loses, and the missing parent."""
    stale = _visit(
        PHRAE_CENTRE, "1", "1", date(2025, 1, 5), "phrae-0", main=PHRAE_CENTRE, price=1, d_update=at("2025-01-06")
    )
    tie = _visit(PHRAE_CENTRE, "2", "3", date(2025, 1, 5), "phrae-0", instype="9100")
    parent = _visit(PHRAE_CENTRE, "1", "999", date(2025, 2, 1), "phrae-0", main=PHRAE_CENTRE)
    deliveries = {"phrae-0": (PHRAE_CENTRE, at("2025-01-31 12:00"))}
    write_batch(home, "01", LATE, deliveries, {"service": [stale, tie, parent]})
