"""What is looked into beside the visits' own care: laboratory tests, pictures, and drugs taken home after a stay.

Shares are assumptions. The rows come from random streams of their own, so that they change nothing else of a country.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import Bools, Catalogue, Floats, Ints
from ingestion.synthetic.tables import CLINIC, Texts, children, drug_columns

DAYS_TAKEN_HOME = 30
ELSEWHERE = 0.08
"""Of the tests: collected from elsewhere, so that the row names no visit."""
SPOILT = 0.005
"""Of the tests: the sample was spoilt, and the result is words."""
PRONE = 0.5
"""Of people: those of whom pictures are taken at all, twice as often as the shares say."""


@dataclass(frozen=True)
class _Test:
    """A request at chronic follow-ups: for whom (bits of CHRONIC_CODES), how often, and the results of its parts."""

    wanted_for: int
    share: float
    parts: tuple[tuple[str, float, float, int], ...]
    """Code, middle and spread of the result, decimals."""


TESTS = (
    _Test(0b00010, 0.35, (("0531601", 7.6, 1.4, 1),)),  # HbA1c
    _Test(0b00010, 0.45, (("0531002", 140.0, 42.0, 0),)),  # glucose
    _Test(0b00111, 0.25, (("0541602", 195.0, 38.0, 0), ("0541402", 116.0, 34.0, 0))),  # cholesterol, LDL
    _Test(0b10011, 0.30, (("0581902", 1.1, 0.4, 2), ("0581904", 78.0, 22.0, 0))),  # creatinine, eGFR
)

OTHER_CODES = {"0531601": "05", "0541602": "07", "0541402": "09", "0581902": "11"}
"""Two-digit codes, which one facility in seven sends instead."""
LOCAL_CODES = {"0581904": "GFR1"}
"""A code of its own, which one facility in nine sends: no list knows it."""

PICTURES = (
    # Condition, procedure (ICD-9-CM volume 3), share of its visits to hospitals, baht. None is a condition's own
    # procedure in the catalogue: a code stands once in a visit.
    ("M545", "8724", 0.18, 240),
    ("M545", "8893", 0.02, 8000),
    ("M179", "8827", 0.25, 200),
    ("S934", "8828", 0.35, 200),
    ("S819", "8827", 0.30, 200),
    ("S610", "8823", 0.20, 200),
    ("S720", "8826", 0.80, 220),
    ("T07", "8744", 0.30, 170),
    ("T07", "8838", 0.08, 4500),
    ("J209", "8744", 0.15, 170),
    ("J449", "8744", 0.20, 170),
    ("K30", "8876", 0.06, 800),
    ("K297", "8876", 0.08, 800),
    ("N390", "8875", 0.06, 700),
    ("N179", "8875", 0.50, 700),
    ("R51", "8703", 0.05, 4000),
    ("R42", "8703", 0.03, 4000),
    ("I639", "8891", 0.15, 8000),
    ("C509", "8737", 0.20, 1500),
    ("C509", "8838", 0.10, 4500),
    ("Z000", "8744", 0.40, 170),
    ("R55", "8703", 0.15, 4000),
    ("J019", "8703", 0.06, 4000),
)

VARIETIES = (("R42", "R55", 0.20), ("J069", "J019", 0.15))
"""A condition, one that some people have whenever others have the first, and the share of them. Of both all but the
name and the complaint is the same in the catalogue, so that a country with varieties has the same people, visits and
drugs as one without."""


def with_varieties(visits: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    """`visits` (person, cond, …) with the varieties in place of the conditions; `rng` is the same for each part of a
    country, so that a person has a variety everywhere or nowhere."""
    codes = catalogue.conditions["code"].to_list()
    person, cond = visits["person"].to_numpy(), visits["cond"].to_numpy().copy()
    draw = rng.random(int(person.max(initial=0)) + 1)[person]
    for usual, variety, share in VARIETIES:
        cond[(cond == codes.index(usual)) & (draw < share)] = codes.index(variety)
    return visits.with_columns(cond=pl.Series(cond, dtype=visits["cond"].dtype))


def labs(v: pl.DataFrame, catalogue: Catalogue, rng: np.random.Generator) -> pl.DataFrame:
    """LABFU at chronic follow-ups; people who come again soon are tested again soon."""
    bits = np.where(catalogue.kind("chronic")[v["cond"].to_numpy()], v["chronic"].to_numpy(), 0)
    f = v["f"].to_numpy()
    blocks = []
    for test in TESTS:
        rows = np.flatnonzero(((bits & test.wanted_for) > 0) & (rng.random(len(v)) < test.share))
        for code, middle, spread, decimals in test.parts:
            value = np.maximum(rng.normal(middle, spread, len(rows)), middle / 4)
            sent = np.where(f[rows] % 7 == 3, OTHER_CODES.get(code, code), code)
            sent = np.where(f[rows] % 9 == 4, LOCAL_CODES.get(code, code), sent)
            blocks.append(children(v, rows).with_columns(LABTEST=pl.Series(sent), LABRESULT=_numbers(value, decimals)))
    tests = pl.concat(blocks)
    spoilt, elsewhere = (pl.Series(rng.random(len(tests)) < share) for share in (SPOILT, ELSEWHERE))
    return tests.with_columns(
        SEQ=pl.when(elsewhere).then(pl.lit("")).otherwise("SEQ"),
        LABRESULT=pl.when(spoilt).then(pl.lit("ตัวอย่างเม็ดเลือดแดงแตก")).otherwise("LABRESULT"),
        LABPLACE="HOSPCODE",
        # A second clinic of the same day orders nothing twice.
    ).unique(["HOSPCODE", "PID", "DATE_SERV", "LABTEST"], keep="first", maintain_order=True)


def _numbers(value: Floats, decimals: int) -> pl.Series:
    whole = np.round(value * 10**decimals).astype(np.int64)
    text = pl.DataFrame({"n": whole // 10**decimals, "r": whole % 10**decimals}).cast(pl.String)
    parts = ["n", pl.lit("."), pl.col("r").str.zfill(decimals)] if decimals else ["n"]
    return text.select(pl.concat_str(parts)).to_series()


def pictures(v: pl.DataFrame, catalogue: Catalogue, hospital: Bools, rng: np.random.Generator) -> pl.DataFrame:
    """PROCEDURE_OPD: imaging in hospitals (`hospital`, by f). Some people are pictured at visit after visit."""
    codes = catalogue.conditions["code"].to_list()
    cond = v["cond"].to_numpy()
    person = v["person"].to_numpy().astype(np.uint64)
    prone = (person * np.uint64(2_654_435_761) % np.uint64(2**32)) < PRONE * 2**32
    can = hospital[v["f"].to_numpy()] & (v["typein"].to_numpy() != 5) & prone
    blocks = []
    for condition, procedure, share, baht in PICTURES:
        of_condition = np.flatnonzero(can & (cond == codes.index(condition)))
        rows = of_condition[rng.random(len(of_condition)) < share / PRONE]
        blocks.append(
            children(v, rows).with_columns(
                PROCEDCODE=pl.lit(procedure), CLINIC=pl.lit(CLINIC), SERVICEPRICE=pl.lit(f"{baht}.00")
            )
        )
    return pl.concat(blocks)


def taken_home(
    admission: pl.DataFrame, v: pl.DataFrame, catalogue: Catalogue, texts: Texts, rng: np.random.Generator
) -> pl.DataFrame:
    """DRUG_IPD of the day of discharge: the first drug of each chronic disease, for a month, though some have it."""
    bits = v["chronic"].to_numpy()[admission["row"].to_numpy()]
    rows, drugs = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for k, index in enumerate(catalogue.chronic):
        given = np.flatnonzero(((bits >> k) & 1 > 0) & (rng.random(len(admission)) < 0.8))
        rows.append(given)
        drugs.append(np.full(len(given), catalogue.drug_of[index, 0]))
    lines = pl.DataFrame({"row": np.concatenate(rows), "drug": np.concatenate(drugs)}).unique(maintain_order=True)
    stays = admission[lines["row"].to_numpy()]
    day: Ints = stays["disch_day"].to_numpy()
    drug = lines["drug"].to_numpy()
    days = np.full(len(stays), DAYS_TAKEN_HOME)
    return stays.with_columns(
        *drug_columns(drug, days, stays["f"].to_numpy(), catalogue),
        TYPEDRUG=pl.lit("2"),
        DATESTART=texts.day(day),
        DATEFINISH=texts.day(day),
    )
