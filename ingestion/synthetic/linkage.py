"""An invented population as the vault holds people, with the truth beside it: what linkage is trained and judged on."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl

from ingestion.synthetic import clerks
from ingestion.synthetic.catalogue import Ints
from ingestion.synthetic.country import make_period
from ingestion.synthetic.facilities import build_facilities
from ingestion.synthetic.faults import BAD_CID, DUMMIES, DUMMY_CID, MISSING_CID, MISSING_FOREIGN_CID
from ingestion.synthetic.geography import load_provinces
from ingestion.synthetic.people import KINDS, build_people, has_right_check_digits, mistyped_numbers

FACILITIES = 400
MONTHS = 12
START = date(2024, 4, 1)
TWICE = 0.01
"""Of registrations: the same facility has another for the same person. Assumption."""

RECORDS = {
    **dict.fromkeys(("hospcode", "pid", "cid", "cid_class", "linkage_pseudonym", "prename", "given"), pl.String()),
    **{"surname": pl.String(), "birth_date": pl.Date()},
    **dict.fromkeys(("sex", "nation", "labor", "province_code", "mother_cid", "telephone", "mobile"), pl.String()),
    **{"passport": pl.String(), "hn": pl.String(), "d_update": pl.Datetime("us"), "delivery_id": pl.String()},
}
"""Columns of the vault's `records`."""


def invented_records(persons: int, seed: int, *, without_number: float = 1.0) -> pl.DataFrame:
    """Records of `persons` invented people, each known to one to seven facilities: RECORDS, and the truth.

    The truth: `person` (who it is) and `kind` (thai, foreign, newborn, stateless, or mistyped: whose number was typed
    wrong, whoever it is). With `without_number` above 1 fewer people are kept who have their number everywhere, so
    that a small population holds as many of the others as one that is so many times larger.
    """
    period, _, _ = make_period(START, MONTHS)
    provinces = load_provinces(START)
    facilities = build_facilities(provinces, FACILITIES, MONTHS, np.random.default_rng([seed, 0]))
    people = build_people(
        provinces, facilities, period, round(persons * without_number), np.random.default_rng([seed, 1])
    )
    people = clerks.identified(people, np.random.default_rng([seed, 6]))
    rng = np.random.default_rng([seed, 8])
    known = clerks.typed(_registrations(people, facilities, rng), period, rng)
    known = _with_numbers(known, rng)
    if without_number > 1:
        doubtful = ((pl.col("cid_class") != "valid") | (pl.col("state") == "mistyped")).any().over("person")
        mothers = pl.col("person").is_in(known.filter(doubtful)["mother"].unique().implode())
        known = known.filter(doubtful | mothers | (pl.col("person").hash(seed) % 10**6 < 10**6 / without_number))
    return _as_records(known, facilities, period.n_days)


def _registrations(people: pl.DataFrame, facilities: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One row a (facility, person, pid): the person's own places first, then any."""
    n = len(people)
    places = np.minimum(1 + rng.poisson(1.6, n), 7)
    own = people.select("primary", "community", "general", "private").to_numpy()
    rows = np.repeat(np.arange(n), places)
    order = np.arange(len(rows)) - np.repeat(np.cumsum(places) - places, places)
    anywhere = rng.integers(0, len(facilities), len(rows))
    f = np.where(order < 4, own[rows, np.minimum(order, 3)], anywhere)
    known = pl.DataFrame({"row": rows, "f": f}).unique(maintain_order=True)
    twice = known.filter(pl.Series(rng.random(len(known)) < TWICE))
    known = pl.concat([known, twice]).sort("f", "row")
    return (
        known.with_columns(pid=(pl.int_range(pl.len()).over("f") + 1).cast(pl.String).str.zfill(7))
        .hstack(people[known["row"].to_numpy()])
        .with_columns(has_hn_of_first=(pl.int_range(pl.len()).over("f", "row") > 0))
    )


def _with_numbers(known: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The number as each facility holds it (`cid`, `cid_class`, `state`), at the rates of the synthetic country."""
    n = len(known)
    foreign = known["kind"].is_in([KINDS.index("foreign"), KINDS.index("stateless")]).to_numpy()
    newborn = (known["kind"] == KINDS.index("newborn")).to_numpy()
    missing = np.where(foreign, MISSING_FOREIGN_CID, np.where(newborn, 0.5, MISSING_CID))
    u = rng.random(n)
    state = np.select([u < missing, u < missing + BAD_CID, u < missing + BAD_CID + DUMMY_CID], [1, 2, 3], default=0)
    has = (known["cid"] != "").to_numpy()
    wrong = mistyped_numbers(known["cid"], rng)
    passes = has_right_check_digits(wrong)
    dummy = pl.Series(DUMMIES).gather(rng.integers(0, len(DUMMIES), n))
    state = np.where(has, state, 1)
    names = pl.Series(np.array(["right", "missing", "mistyped", "dummy"])[state])
    classes = np.select(
        [state == 0, state == 1, state == 3, passes], ["valid", "missing", "dummy", "valid"], default="bad_check_digit"
    )
    return known.with_columns(
        state=names,
        cid=pl.when(names == "missing")
        .then(pl.lit(None, pl.String))
        .when(names == "mistyped")
        .then(pl.lit(wrong))
        .when(names == "dummy")
        .then(pl.lit(dummy))
        .otherwise("cid"),
        cid_class=pl.Series(classes),
        # Before it has a number a child seldom has its name in the register either.
        typed_given=pl.when(pl.Series(newborn & (state == 1))).then("first_given").otherwise("typed_given"),
    )


def _as_records(known: pl.DataFrame, facilities: pl.DataFrame, n_days: int) -> pl.DataFrame:
    day = pl.col("person").hash(3) % n_days + pl.col("f") % 7
    valid = pl.col("cid_class") == "valid"
    # A second registration of one facility mostly keeps the number of the paper file.
    hn = pl.when(pl.col("has_hn_of_first")).then(pl.col("typed_hn").first().over("f", "row")).otherwise("typed_hn")
    codes = facilities.select(pl.col("f"), "hospcode", province_code="province")
    kinds = dict(enumerate(KINDS))
    return (
        known.join(codes, on="f", how="left", maintain_order="left")
        .with_columns(typed_hn=hn)
        .select(
            "hospcode",
            "pid",
            "cid",
            "cid_class",
            linkage_pseudonym=pl.when(valid).then(pl.concat_str(pl.lit("p1:"), "cid")),
            prename="typed_prename",
            given=_sent("typed_given"),
            surname=_sent("typed_surname"),
            birth_date="typed_birth",
            sex="typed_sex",
            nation="typed_nation",
            labor=_sent("labor"),
            province_code="province_code",
            mother_cid=_sent("typed_mother"),
            telephone=pl.lit(None, pl.String),
            mobile=_sent("typed_mobile"),
            passport=_sent("typed_passport"),
            hn=_sent("typed_hn"),
            d_update=pl.lit(datetime(START.year, START.month, START.day)) + pl.duration(days=day),  # noqa: DTZ001
            delivery_id=pl.concat_str("hospcode", pl.lit("-"), (day // 30).cast(pl.String)),
            person="person",
            kind=pl.when(pl.col("state") == "mistyped")
            .then(pl.lit("mistyped"))
            .otherwise(pl.col("kind").replace_strict(kinds, return_dtype=pl.String)),
        )
        .with_columns(pl.col(name).cast(kind) for name, kind in RECORDS.items())
    )


def _sent(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(name)


def residue(records: pl.DataFrame) -> Ints:
    """Rows of records without a usable number."""
    return records.select((pl.col("cid_class") != "valid").arg_true()).to_series().to_numpy()
