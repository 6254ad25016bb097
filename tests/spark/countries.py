"""Landings over which the two engines are compared: each holds what engines are known to read otherwise."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from ingestion.synthetic import generate
from ruam.home import DataHome
from tests.ingestion.odd_zips import make_zip, row, text, with_encrypted_flag, with_flipped_bit, zip_name
from tests.test_end_to_end import ruam
from tests.warehouse.country import BATCHES, PHRAE_CENTRE, PHRAE_COMMUNITY, ROI_ET_UNIT, at, land, make_country
from tests.warehouse.landing_factory import Row, write_batch

_SENT = at("2025-02-03")
_LEAP_DAYS = [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2023, 2, 28), date(2025, 2, 28)]
_TURNS = [date(2024, 1, 31), date(2024, 4, 30), date(2024, 9, 30), date(2024, 10, 1), date(2024, 12, 31)]
_AMOUNTS = [
    *map(Decimal, ("0.005", "0.015", "0.025", "2.675", "10.005", "1.0050", "12345678.9", "99999999.99", "0")),
    None,
]
"""Halves of a satang, and numbers from ten million on, whose text has an exponent on one engine if they are doubles."""
_TEXTS = ["it's", 'a "b" \\n \\', "tab\there", "ยา ก. (ข้าง) ", " led", "%_*", "-", "é́"]
_RESULTS = ["5.65", "6.5", "<1", "1e7", "12,5", "NaN", "inf", " 7.0 ", "-0.0", "00012", "ปกติ", "7.05"]
_MANY = 60
_KNOWN = {"cid_class": "valid", "nation": "099"}
_MAN: Row = {**_KNOWN, "cid_pseudonym": "e" * 32, "sex": "1", "birth_month": date(2000, 2, 1)}
_WOMAN: Row = {**_KNOWN, "cid_pseudonym": "f" * 32, "sex": "2", "birth_month": date(1924, 2, 1)}


def by_hand(root: Path) -> DataHome:
    """The country of the warehouse's tests with its corrections, and beside it the leap day, turns of months and
    years, halves, nulls, odd texts and long lists."""
    home = make_country(root)
    land(home, *BATCHES)
    places = (PHRAE_CENTRE, PHRAE_COMMUNITY, ROI_ET_UNIT)
    at_phrae, at_community, at_roi_et = ({"hospcode": code, "delivery_id": f"edges-{code}"} for code in places)
    known, elsewhere = ({**place, "pid": "E1", "d_update": _SENT} for place in (at_phrae, at_community))
    blank = {**at_phrae, "pid": "E2"}
    days = [*_LEAP_DAYS, *_TURNS]
    seen = {"time_serv": "080000", "typein": "1", "typeout": "1", "instype": "0100", "main": PHRAE_CENTRE}
    visits: list[Row] = [
        {**known, **seen, "seq": f"E{number}", "date_serv": day, "time_serv": "235959", "price": amount, "cost": amount}
        for number, (day, amount) in enumerate(zip(days, _AMOUNTS, strict=True))
    ]
    visits += [
        {**blank, "seq": "B1", "date_serv": _LEAP_DAYS[1]},
        {**at_roi_et, "pid": "R1", "seq": "R1", "date_serv": _LEAP_DAYS[1], "d_update": _SENT, "typein": "5"},
    ]
    # One person, day after day at two places in turn: long chains, many of one kind in each look-back.
    daily: list[Row] = [
        {**(known, elsewhere)[number % 2], "seq": f"L{number}", "date_serv": date(2024, 5, 1) + timedelta(days=number)}
        for number in range(_MANY)
    ]
    visits += [{**day, **seen, "price": Decimal("100.5")} for day in daily]
    diagnoses: list[Row] = [
        {**daily[0], "diagtype": "1" if number == 0 else "4", "diagcode": f"J{number:02d}", "clinic": "00100"}
        for number in range(_MANY)
    ]
    diagnoses += [
        {**day, "diagtype": "1", "diagcode": "I10" if number % 3 else "E11.9", "clinic": "00100"}
        for number, day in enumerate(daily[1:])
    ]
    dispensings: list[Row] = [
        {**daily[number % _MANY], "didstd": "1" * 24 if number % 3 else f"{number:024d}", "unit": _TEXTS[2]}
        | {"dname": _TEXTS[number % len(_TEXTS)], "amount": Decimal(number) / 2}
        | {"drugprice": Decimal("0.125") * number, "drugcost": None}
        for number in range(2 * _MANY)
    ]
    laboratory: list[Row] = [
        {**daily[number], "labtest": "0531601" if number % 2 else "0531002", "labresult": result}
        for number, result in enumerate(_RESULTS)
    ]
    stays: list[Row] = [
        {**known, "an": an, "seq": an, "instype": "0100", "datetime_admit": begun, "datetime_disch": ended}
        | {"price": Decimal("10.005"), "rw": Decimal("0.0005"), "adjrw": Decimal("2.6755")}
        for an, begun, ended in (
            ("L1", at("2024-02-28 23:59:59"), at("2024-03-01")),
            ("L2", at("2024-03-01"), at("2024-03-01 00:00:01")),
            ("L3", at("2024-12-31 23:00"), at("2025-01-01 01:00")),
        )
    ]
    write_batch(
        home,
        "01",
        "batch-4-edges",
        {f"edges-{code}": (code, _SENT) for code in places},
        {
            "person": [
                {**known, **_MAN, "typearea": "1"},
                {**elsewhere, **_MAN, "typearea": "4"},
                blank,
                {**at_roi_et, **_WOMAN, "pid": "R1", "d_update": _SENT, "typearea": "1"},
            ],
            "service": visits,
            "diagnosis_opd": diagnoses,
            "drug_opd": dispensings,
            "labfu": laboratory,
            "admission": stays,
        },
    )
    return home


def synthetic(root: Path) -> DataHome:
    """A generated country over the February of a leap year, with the faults that are planted in it, and beside its
    deliveries odd ones, ingested and linked by Ruam's own commands."""
    generate(root / "country", facilities=13, months=3, scale=0.02, seed=1, start=date(2024, 1, 1))
    deliveries = root / "country" / "deliveries"
    _odd(deliveries / "odd")
    home = root / "home"
    ruam(home, "init")
    for kind in ("registry", "drugs"):
        ruam(home, "reference", "load", kind, root / "country" / f"{kind}.csv", "--as-of", "2024-01-01")
    ruam(home, "ingest", deliveries)
    for step in ("take-in", "link"):
        ruam(home, "identity", step, "--purpose", "comparison of engines")
    shutil.rmtree(root / "country")
    return DataHome(home)


def _odd(folder: Path) -> None:
    """Zips whose rows are turned away, flagged, or never read; one with more unknown columns than a line shows."""
    unknown = [f"UNKNOWN{number}" for number in range(_MANY)]
    columns = [*row("SERVICE"), *unknown]
    make_zip(folder / zip_name("90101"), {"SERVICE.txt": text("SERVICE", row("SERVICE"), columns=columns)})
    bad = [
        row("SERVICE", SEQ="B1", DATE_SERV="20240230"),
        row("SERVICE", SEQ="B2", PRICE="12,50"),
        row("SERVICE", SEQ="B3", INSTYPE="ZZZZ"),
        row("SERVICE", SEQ="B4", DATE_SERV="25670229"),
        row("SERVICE", SEQ="B5", PRICE="-0.005"),
    ]
    make_zip(folder / zip_name("90102"), {"SERVICE.txt": text("SERVICE", *bad)})
    with_flipped_bit(make_zip(folder / zip_name("90103")), "SERVICE.txt")
    with_encrypted_flag(make_zip(folder / zip_name("90104")))
    make_zip(folder / zip_name("90105"), {"SERVICE.txt": text("SERVICE", header=False), "EMPTY.txt": ""})
