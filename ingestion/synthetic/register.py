"""The registers of a facility: PERSON with its numbers right and wrong, ADDRESS, CARD, CHRONIC, DEATH, PROVIDER."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import CHRONIC_CODES, Ints
from ingestion.synthetic.faults import BAD_CID, DUMMIES, DUMMY_CID, MISSING_CID, MISSING_FOREIGN_CID
from ingestion.synthetic.people import CID_OFFICE, KINDS, NO_DAY, has_right_check_digits, mistyped_numbers, numbers_of
from ingestion.synthetic.tables import PROVIDERS_PER_FACILITY, Texts

CID_STATES = ("right", "missing", "mistyped", "dummy", "generated", "awaited", "mistaken")
USABLE = 0
"""Index in CID_STATES of a number that tells who somebody is."""
STAFF = (("01", "01"), ("01", "01"), ("03", "02"), ("03", "02"), ("05", ""), ("02", "04"))
"""PROVIDERTYPE and COUNCIL of a facility's staff, by their number: doctors, nurses, a health officer, a dentist."""
MISTYPED, MISTAKEN = 2, 6
"""A wrong number whose check digit shows it, and one that passes for somebody else's: the check leaves out the third
digit, and takes 0 for 10 and 1 for 11."""


_HOME = pl.when(pl.col("sub") >= 0).then("sub").otherwise("main")
"""The unit that a person is registered with: the primary unit, else the main one, else none (-1)."""


def people_of(path: Path, visits: pl.DataFrame, first_f: int, last_f: int) -> pl.DataFrame:
    """The people that some facilities know, of the national frame."""
    came = visits["person"].unique().cast(pl.Int64).implode()
    frame = pl.scan_parquet(path).filter(_HOME.is_between(first_f, last_f - 1) | pl.col("person").is_in(came))
    return frame.collect().with_columns(pl.col("person").cast(pl.Int32))


def registrations(
    visits: pl.DataFrame,
    people: pl.DataFrame,
    first_f: int,
    last_f: int,
    grid_next: Ints,
    month_of_day: Ints,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """One row a (facility, person) that the facility knows: who came, and who is registered with it.

    f, person, home (boolean), came (boolean), first_day, d (zip of the first PERSON row, -1 never sent),
    pid (text, of the facility's own making), state and final_state (index in CID_STATES), cid and final_cid (text),
    update_d (zip of a second PERSON row, -1 none), and the columns of people.
    """
    came = visits.group_by("f", "person", maintain_order=True).agg(pl.col("day").min().alias("first_day"))
    residents = (
        people.filter(pl.col("kind") != KINDS.index("foreign"))
        .select(_HOME.cast(pl.Int32).alias("f"), "person", "birth_day", home=pl.lit(True))
        .filter(pl.col("f").is_between(first_f, last_f - 1))
    )
    known = (
        came.with_columns(came=pl.lit(True))
        .join(residents, on=["f", "person"], how="full", coalesce=True)
        .with_columns(
            pl.col("home", "came").fill_null(value=False),
            # Residents are registered from the start, or from birth.
            pl.when(pl.col("home").fill_null(value=False))
            .then(pl.col("birth_day").clip(0))
            .otherwise(pl.col("first_day"))
            .alias("first_day"),
        )
        .drop("birth_day")
        .sort("f", "person")
        .join(people, on="person", how="left", maintain_order="left")
    )
    f, first = known["f"].to_numpy(), known["first_day"].to_numpy()
    d = grid_next[f, month_of_day[first]]
    known = known.with_columns(d=pl.Series(d), pid=(pl.int_range(pl.len()).over("f") + 1).cast(pl.String).str.zfill(7))
    state, final, later = _states(known, grid_next, month_of_day, rng)
    numbers = _numbers(known, state, rng)
    passes = (state == MISTYPED) & has_right_check_digits(numbers)
    state, final = (np.where(passes & (which == MISTYPED), MISTAKEN, which) for which in (state, final))
    return known.with_columns(
        state=pl.Series(state),
        final_state=pl.Series(np.where(later >= 0, final, state)),
        cid=numbers,
        update_d=pl.Series(later),
    ).with_columns(
        final_cid=pl.when(pl.col("update_d") >= 0)
        .then(_where_usable(pl.col("final_state"), known["cid"], pl.col("cid")))
        .otherwise("cid")
    )


def _where_usable(state: pl.Expr, right: pl.Series, other: pl.Expr) -> pl.Expr:
    return pl.when(state == USABLE).then(pl.lit(right)).otherwise(other)


def _states(
    known: pl.DataFrame, grid_next: Ints, month_of_day: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """State of the number at first, at last, and the zip that brings the change (-1 none)."""
    n = len(known)
    kind = known["kind"].to_numpy()
    without = (known["cid"] == "").to_numpy()
    u = rng.random(n)
    foreign = np.isin(kind, [KINDS.index("foreign"), KINDS.index("stateless")])
    missing = np.where(foreign, MISSING_FOREIGN_CID, MISSING_CID)
    state = np.select([u < missing, u < missing + BAD_CID, u < missing + BAD_CID + DUMMY_CID], [1, 2, 3], default=0)
    state = np.where(without, np.where(u < 0.55, 1, 4), state)
    newborn = kind == KINDS.index("newborn")
    state = np.where(newborn & (u < 0.6), 5, state)
    # Later the facility knows better: most newborns get a number, a quarter of mistyped ones are put right
    # (assumption).
    mends = ((state == 5) & (rng.random(n) < 0.7)) | ((state == 2) & ~without & (rng.random(n) < 0.25))
    dies = (known["death_day"].to_numpy() < NO_DAY) & known["home"].to_numpy()
    month = month_of_day[known["first_day"].to_numpy()]
    last = grid_next.shape[1] - 1
    wait = np.minimum(month + 1 + rng.integers(0, 2, n), last)
    death_month = month_of_day[np.minimum(known["death_day"].to_numpy(), len(month_of_day) - 1)]
    change = np.where(dies, death_month, wait)
    later = grid_next[known["f"].to_numpy(), change]
    first = known["d"].to_numpy()
    changes = (mends | dies) & (later >= 0) & (later != first) & (first >= 0)
    # Zips of a facility are numbered in the order of their months, so a later one has a greater d.
    changes &= later > first
    return state, np.where(mends, USABLE, state), np.where(changes, later, -1)


def _numbers(known: pl.DataFrame, state: Ints, rng: np.random.Generator) -> pl.Series:
    """CID as the facility holds it: `mistyped` has a digit wrong or two changed about, `generated` is the program's."""
    n = len(known)
    f = known["f"].to_numpy().astype(np.int64)
    wrong = mistyped_numbers(known["cid"], rng)
    serial = pl.Series(np.arange(n) % 100_000).cast(pl.Int64).to_numpy()
    generated = numbers_of(np.zeros(n, dtype=np.int64), f // 1000, (f // 10) % 100, (f % 10) * 10**6 + serial)
    dummy = pl.Series(DUMMIES).gather(rng.integers(0, len(DUMMIES), n))
    frame = known.select("cid").with_columns(state=pl.Series(state), wrong=wrong, dummy=dummy, made=generated)
    state_ = pl.col("state")
    return frame.select(
        pl.when(state_ == 0)
        .then("cid")
        .when(state_ == 2)
        .then("wrong")
        .when(state_ == 3)
        .then("dummy")
        .when(state_ == 4)
        .then(pl.concat_str(pl.lit("00"), pl.col("made").str.tail(11)))
        .otherwise(pl.lit(""))
    ).to_series()


def person_rows(known: pl.DataFrame, texts: Texts, d_update: pl.Series) -> pl.DataFrame:
    """PERSON of `known` as `clerks.typed` leaves it: each registration's first row, a second where something changed.

    `d_update` holds the text of D_UPDATE by d. Also `row` (of `known`), `final`.
    """
    sent = known.with_row_index("row").filter(pl.col("d") >= 0)
    first = sent.with_columns(death_day=pl.when(pl.col("update_d") >= 0).then(NO_DAY).otherwise("death_day"))
    second = sent.filter(pl.col("update_d") >= 0).with_columns(
        d=pl.col("update_d"),
        state=pl.col("final_state"),
        cid=pl.col("final_cid"),
        # By then a newborn has its name.
        first_given="typed_given",
        first_surname="typed_surname",
    )
    rows = pl.concat([first, second])
    child = pl.col("age") < 15
    home = pl.col("home")
    dead = home & (pl.col("death_day") < NO_DAY) & (pl.col("d") == pl.col("update_d"))
    died = texts.day(np.minimum(rows["death_day"].to_numpy(), NO_DAY // 1024))
    return rows.with_columns(
        HOSPCODE="hospcode",
        HOSPCODE9="hospcode9",
        PID="pid",
        CID="cid",
        HID=pl.col("household").cast(pl.String).str.zfill(8),
        PRENAME="typed_prename",
        NAME="first_given",
        LNAME="first_surname",
        HN="typed_hn",
        SEX="typed_sex",
        BIRTH=pl.col("typed_birth").dt.strftime("%Y%m%d"),
        MSTATUS=pl.when(child).then(pl.lit("1")).otherwise(pl.lit("2")),
        OCCUPATION_NEW=pl.lit("9629"),
        RACE="nation",
        NATION="typed_nation",
        RELIGION=pl.lit("01"),
        FSTATUS=pl.lit("2"),
        MOTHER="typed_mother",
        DISCHARGE=pl.when(dead).then(pl.lit("1")).otherwise(pl.lit("9")),
        DDISCHARGE=pl.when(dead).then(pl.lit(died)).otherwise(pl.lit("")),
        ABOGROUP=pl.lit("9"),
        LABOR="labor",
        TYPEAREA=pl.when(home & (pl.col("addr_p") == pl.col("p")))
        .then(pl.lit("1"))
        .when(home)
        .then(pl.lit("3"))
        .otherwise(pl.lit("4")),
        TELEPHONE=pl.lit(""),
        MOBILE="typed_mobile",
        PASSPORT="typed_passport",
        D_UPDATE=d_update.gather(rows["d"]),
        final=pl.col("d") == pl.when(pl.col("update_d") >= 0).then("update_d").otherwise("d"),
    )


def address_rows(known: pl.DataFrame, d_update: pl.Series, codes: pl.Series) -> pl.DataFrame:
    """ADDRESS of who came: the registered address (ADDRESSTYPE 1)."""
    rows = known.filter((pl.col("d") >= 0) & pl.col("came"))
    district = pl.col("district").cast(pl.String).str.zfill(2)
    return rows.select(
        "d",
        HOSPCODE="hospcode",
        HOSPCODE9="hospcode9",
        PID="pid",
        CID="cid",
        ADDRESSTYPE=pl.lit("1"),
        HOUSETYPE=pl.lit("1"),
        HOUSENO=pl.concat_str((pl.col("household") % 300 + 1).cast(pl.String), pl.lit("/สมมติ")),
        VILLAGE=pl.concat_str(pl.lit("0"), (pl.col("household") % 9 + 1).cast(pl.String)),
        TAMBON=district,
        AMPUR=district,
        CHANGWAT=codes.gather(rows["addr_p"]),
        D_UPDATE=d_update.gather(rows["d"]),
        TELEPHONE=pl.lit(""),
        MOBILE=pl.lit(""),
    )


def card_rows(known: pl.DataFrame, d_update: pl.Series, facilities: pl.DataFrame) -> pl.DataFrame:
    """CARD of who came: the right at the first visit."""
    rows = known.filter((pl.col("d") >= 0) & pl.col("came"))
    codes = pl.concat([facilities["hospcode"], pl.Series([""])])
    main, sub = (np.where(rows[name].to_numpy() < 0, len(codes) - 1, rows[name].to_numpy()) for name in ("main", "sub"))
    return rows.select(
        "d",
        HOSPCODE="hospcode",
        HOSPCODE9="hospcode9",
        PID="pid",
        CID="cid",
        INSTYPE_OLD=pl.lit(""),
        INSTYPE_NEW="instype",
        INSID=pl.lit(""),
        STARTDATE=pl.lit("20200101"),
        EXPIREDATE=pl.lit(""),
        MAIN=codes.gather(main),
        SUB=codes.gather(sub),
        D_UPDATE=d_update.gather(rows["d"]),
    )


def chronic_rows(known: pl.DataFrame, texts: Texts, d_update: pl.Series) -> pl.DataFrame:
    """CHRONIC of residents: one row a disease."""
    rows = known.filter((pl.col("d") >= 0) & pl.col("home"))
    blocks = []
    for k, code in enumerate(CHRONIC_CODES):
        has = rows.filter((pl.col("chronic").cast(pl.Int64) // 2**k) % 2 == 1)
        since = texts.day(-(has["person"].to_numpy().astype(np.int64) * 7919 % 5000) - 30)
        blocks.append(
            has.select(
                "d",
                HOSPCODE="hospcode",
                HOSPCODE9="hospcode9",
                PID="pid",
                CID="cid",
                DATE_DIAG=since,
                CHRONIC=pl.lit(code),
                HOSP_DX="hospcode",
                HOSP_RX="hospcode",
                TYPEDISCH=pl.lit("03"),
                D_UPDATE=d_update.gather(has["d"]),
            )
        )
    return pl.concat(blocks)


def death_rows(
    known: pl.DataFrame, texts: Texts, grid_next: Ints, month_of_day: Ints, d_update: pl.Series
) -> pl.DataFrame:
    """DEATH of residents, reported by the unit that they are registered with."""
    rows = known.filter(pl.col("home") & (pl.col("death_day") < NO_DAY) & (pl.col("d") >= 0))
    day = rows["death_day"].to_numpy()
    d = grid_next[rows["f"].to_numpy(), month_of_day[day]]
    cause = np.where(rows["age"].to_numpy() > 60, "R54", np.where(rows["sex"].to_numpy() == 1, "I219", "C509"))
    rows = rows.with_columns(
        d=pl.Series(d), DDEATH=texts.day(day), CDEATH=pl.Series(cause), CDEATH_A=pl.Series(cause)
    ).filter(pl.col("d") >= 0)
    return rows.select(
        "d",
        "DDEATH",
        "CDEATH",
        "CDEATH_A",
        HOSPCODE="hospcode",
        HOSPCODE9="hospcode9",
        PID="pid",
        CID="cid",
        HOSPDEATH=pl.lit("00000"),
        HOSP9_DEATH=pl.lit("N/A"),
        PDEATH=pl.lit("2"),
        D_UPDATE=d_update.gather(rows["d"]),
    )


def provider_rows(facilities: pl.DataFrame, grid_next: Ints, d_update: pl.Series) -> pl.DataFrame:
    """PROVIDER: a few people of each facility, sent once."""
    staff = facilities.join(pl.DataFrame({"k": range(PROVIDERS_PER_FACILITY)}), how="cross")
    serial = staff["f"].to_numpy() * PROVIDERS_PER_FACILITY + staff["k"].to_numpy() + 9_000_000
    n = len(staff)
    cid = numbers_of(
        np.full(n, 8), staff["province"].cast(pl.Int64).to_numpy(), np.full(n, int(CID_OFFICE)), serial % 10**7
    )
    d = pl.Series(grid_next[staff["f"].to_numpy(), 0])
    kind, council = (pl.Series(values).gather(staff["k"]) for values in zip(*STAFF, strict=True))
    staff = staff.with_columns(d=d, CID=cid, kind=kind, council=council).filter(pl.col("d") >= 0)
    return staff.select(
        "d",
        "CID",
        HOSPCODE="hospcode",
        HOSPCODE9="hospcode9",
        PROVIDER=pl.col("k").cast(pl.String).str.zfill(5),
        COUNCIL="council",
        PRENAME=pl.lit("003"),
        NAME=pl.lit("สมมติ"),
        LNAME=pl.lit("ผู้ให้บริการ"),
        SEX=pl.lit("1"),
        BIRTH=pl.lit("19800101"),
        PROVIDERTYPE="kind",
        STARTDATE=pl.lit("20150101"),
        D_UPDATE=d_update.gather(staff["d"]),
    )
