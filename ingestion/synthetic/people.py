"""People: households, ages, rights, chronic disease, the facilities they use, moves, deaths, and numbers.

What no source gives is an assumption and is marked so where it is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import Bools, Floats, Ints

PERSONS_AT_SCALE_1 = 392_000
"""1.5 million visits a year at 3.82 each."""

AGE_SHARES = (4.6, 5.4, 5.9, 6.0, 6.4, 7.0, 7.0, 7.0, 7.4, 7.6, 7.8, 7.4, 6.4, 5.0, 3.8, 2.3, 1.6, 1.4)
"""Per cent by five years of age from 0; the last group is 85 and over. Assumption."""
FEMALE_SHARE = 33.83 / 66.05  # [BKPPOP]
MIGRANT_SHARE = 3.25 / 66.05  # [ALIEN] 3 to 3.5 million
STATELESS_SHARE = 0.6 / 66.05  # [ALIEN] 0.5 to 0.7 million
BIRTHS_PER_YEAR = 0.008  # assumption
MOVES_PER_YEAR = 0.015  # assumption
DEATHS_PER_YEAR = ((15, 0.0007), (40, 0.0015), (60, 0.005), (75, 0.02), (200, 0.07))  # (below age, rate), assumption
PREVALENCE = (
    ("I10", 40, 0.26, 0.04),
    ("E119", 40, 0.12, 0.02),
    ("E785", 40, 0.125, 0.02),
    ("J449", 50, 0.03, 0.001),
    ("N185", 50, 0.006, 0.0005),
)
"""(code, from age, prevalence from it, prevalence of adults below). Assumption, set so that I10 leads the visits,
at about 11 % of them, then E11, then lipids [HFO32141]."""

PATTERNS = (
    ("only primary", 29.1, (0.95, 0.03, 0.02, 0.0)),
    ("only community", 19.8, (0.02, 0.95, 0.03, 0.0)),
    ("only general", 7.5, (0.02, 0.03, 0.95, 0.0)),
    ("primary and community", 20.8, (0.55, 0.42, 0.02, 0.01)),
    ("primary and general", 4.5, (0.5, 0.02, 0.47, 0.01)),
    ("community and general", 2.1, (0.02, 0.5, 0.47, 0.01)),
    ("all three", 2.8, (0.4, 0.3, 0.28, 0.02)),
    ("others", 13.4, (0.2, 0.25, 0.2, 0.35)),
)
"""Facility types used per person-year, shares [OPPATT]; within a pattern, where each visit goes: assumption."""

GENERAL_PATTERNS = (2, 4)
"""Of PATTERNS: those whose hospital is the general one."""

KINDS = ("thai", "foreign", "stateless", "newborn")
NO_DAY = 1 << 20
"""Of a move or a death that does not happen in the period."""

CID_OFFICE = "66"
"""Digits 4-5 of every invented number: no district or registry office of any province has this code."""
_WEIGHTS = np.arange(13, 1, -1, dtype=np.int64)

GIVEN_HEADS = ("สม", "วิ", "ประ", "นภา", "กิต", "ธนา", "สุ", "อร", "พร", "ชล", "จิ", "มณี", "รัต", "ศิ", "อนุ", "ปิย")
GIVEN_TAILS = ("ชาย", "ภา", "เสริฐ", "พร", "ติ", "วัฒน์", "นีย์", "ทัย", "ทิพย์", "ดา", "รา", "รัตน์", "นา", "ริน", "ชิต", "ธิดา")
SURNAME_HEADS = (
    "ทอง",
    "แก้ว",
    "ศรี",
    "บุญ",
    "จันทร์",
    "คำ",
    "วงศ์",
    "ชัย",
    "สุข",
    "พันธ์",
    "อินทร์",
    "เพชร",
    "ใจ",
    "นาค",
    "ปาน",
    "มา",
)
SURNAME_TAILS = (
    "ดี",
    "สุข",
    "มี",
    "ใส",
    "งาม",
    "ประเสริฐ",
    "เจริญ",
    "สวัสดิ์",
    "กล้า",
    "รุ่งเรือง",
    "คำ",
    "วงษ์",
    "สมบัติ",
    "พงศ์",
    "ไพร",
    "สมมติ",
)
"""Common syllables joined at random: names of nobody in particular."""


@dataclass(frozen=True)
class Period:
    start: date
    n_months: int
    n_days: int

    @property
    def years(self) -> float:
        return self.n_days / 365.25

    @property
    def first_day(self) -> int:
        """Of the period, in days since 1970."""
        return (self.start - date(1970, 1, 1)).days


def check_digits(first_twelve: Ints) -> Ints:
    """The thirteenth digit for rows of twelve: (11 - sum(d_i * (14 - i)) mod 11) mod 10 (domain.md §4)."""
    return (11 - (first_twelve @ _WEIGHTS) % 11) % 10


def numbers_of(first: Ints, province: Ints, office: Ints, serial: Ints) -> pl.Series:
    """13-digit text: first digit, two of a province, two of an office, seven of a serial, and the check digit."""
    powers = 10 ** np.arange(6, -1, -1)
    digits = np.column_stack(
        [first, province // 10, province % 10, office // 10, office % 10, (serial[:, None] // powers) % 10]
    )
    return _texts(np.column_stack([digits, check_digits(digits)]))


def has_right_check_digits(numbers: pl.Series) -> Bools:
    """For each text: whether it is 13 digits whose last one is right."""
    shaped = numbers.str.contains(r"^[0-9]{13}$").fill_null(value=False).to_numpy()
    digits = _digits(numbers.filter(pl.Series(shaped)))
    right = np.zeros(len(numbers), dtype=bool)
    right[shaped] = check_digits(digits[:, :12]) == digits[:, 12]
    return right


def mistyped_numbers(numbers: pl.Series, rng: np.random.Generator) -> pl.Series:
    """Each 13-digit text with one digit wrong or two neighbours changed about, half of each (assumption).

    What is no number stays as it is; so does the first digit.
    """
    shaped = (numbers.str.len_bytes() == 13).to_numpy()
    digits = _digits(numbers.filter(pl.Series(shaped)))
    n = len(digits)
    rows, at = np.arange(n), rng.integers(1, 12, n)
    swaps = (rng.random(n) < 0.5) & (digits[rows, at] != digits[rows, at + 1])
    left, right = digits[rows, at].copy(), digits[rows, at + 1].copy()
    digits[rows, at] = np.where(swaps, right, (left + rng.integers(1, 10, n)) % 10)
    digits[rows, at + 1] = np.where(swaps, left, right)
    wrong = np.array(numbers.to_list(), dtype=object)
    wrong[shaped] = _texts(digits).to_list()
    return pl.Series(wrong.tolist(), dtype=pl.String)


def _digits(numbers: pl.Series) -> Ints:
    text = "".join(numbers.to_list()).encode("ascii")
    return np.frombuffer(text, dtype=np.uint8).reshape(-1, 13).astype(np.int64) - ord("0")


def _texts(digits: Ints) -> pl.Series:
    return pl.Series(digits @ (10 ** np.arange(12, -1, -1))).cast(pl.String).str.zfill(13)


def _pick(rng: np.random.Generator, weights: Floats, n: int) -> Ints:
    cumulative = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(cumulative, rng.random(n), side="right"), len(weights) - 1)


def _units(facilities: pl.DataFrame, rng: np.random.Generator, p: Ints) -> dict[str, Ints]:
    """A facility of each level for people of provinces `p`, the nearest there is; f indexes."""
    levels = ("primary", "community", "general", "private")
    by_province: dict[str, dict[int, list[int]]] = {level: {} for level in levels}
    anywhere: dict[int, list[int]] = {}
    for f, home, level in facilities.select("f", "p", "level").iter_rows():
        by_province[level].setdefault(home, []).append(f)
        anywhere.setdefault(home, []).append(f)
    fallback = {
        "primary": levels,
        "community": ("community", "general"),
        "general": ("general", "community"),
        "private": ("private", "general"),
    }
    draws = rng.random(len(p))
    units = {level: np.zeros(len(p), dtype=np.int64) for level in levels}
    for home in np.unique(p):
        rows = np.flatnonzero(p == home)
        for level in levels:
            choices = next((by_province[other][home] for other in fallback[level] if home in by_province[other]), None)
            choices = choices or anywhere[home]
            units[level][rows] = np.array(choices)[(draws[rows] * len(choices)).astype(np.int64)]
    return units


def _home_provinces(provinces: pl.DataFrame, facilities: pl.DataFrame) -> Floats:
    """Weight of each province as a home: people of a province without a facility live in their region's others."""
    has = np.isin(np.arange(len(provinces)), facilities["p"].unique().to_numpy())
    frame = provinces.select("region", "population").with_columns(pl.Series("has", has))
    covered = pl.col("population").filter("has").sum().over("region")
    return (
        frame.select(
            pl.when("has")
            .then(pl.col("population") * pl.col("population").sum().over("region") / covered)
            .otherwise(0.0)
        )
        .to_series()
        .to_numpy()
    )


def _rights(rng: np.random.Generator, age: Ints, kind: Ints) -> pl.Series:
    """INSTYPE by age: UCS 75.7 %, SSS 17.2 %, CSMBS with local and state enterprise 7.1 % of Thais [UHCCOV, NSO61];
    which ages hold which is an assumption."""
    codes = np.array(["0100", "4200", "1100", "1200", "2301", "2401", "3103", "8403", "8406", "9100", "8301"])
    table = {
        "young": (0.94, 0.0, 0.04, 0.0, 0.01, 0.01, 0.0, 0, 0, 0, 0),
        "working": (0.637, 0.295, 0.048, 0.0, 0.005, 0.005, 0.01, 0, 0, 0, 0),
        "old": (0.86, 0.02, 0.0, 0.105, 0.01, 0.005, 0.0, 0, 0, 0, 0),
        "foreign": (0, 0.25, 0, 0, 0, 0, 0, 0.3, 0.25, 0.2, 0),
        "stateless": (0.2, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.7),
    }
    chosen = np.zeros(len(age), dtype=np.int64)
    groups = np.select([kind == 1, kind == 2, age < 20, age < 60], [3, 4, 0, 1], default=2)
    for group, weights in enumerate(table.values()):
        rows = np.flatnonzero(groups == group)
        chosen[rows] = _pick(rng, np.array(weights, dtype=np.float64), len(rows))
    return pl.Series(codes[chosen])


def _ages(rng: np.random.Generator, n: int) -> Floats:
    group = _pick(rng, np.array(AGE_SHARES), n)
    return group * 5 + rng.random(n) * np.where(group == len(AGE_SHARES) - 1, 12, 5)


def _deaths(rng: np.random.Generator, age: Floats, period: Period) -> Ints:
    rate = np.select([age < limit for limit, _ in DEATHS_PER_YEAR], [rate for _, rate in DEATHS_PER_YEAR], default=0.0)
    dies = rng.random(len(age)) < rate * period.years
    return np.where(dies, rng.integers(0, period.n_days, len(age)), NO_DAY)


def _chronic(rng: np.random.Generator, age: Floats) -> Ints:
    bits = np.zeros(len(age), dtype=np.int64)
    base = rng.random((len(PREVALENCE), len(age)))
    for k, (_, start, above, below) in enumerate(PREVALENCE):
        # The second and third disease come oftener to who has high blood pressure: metabolic disease clusters.
        lift = np.where((bits & 1) > 0, 2.0, 0.75) if k in (1, 2) else 1.0
        share = np.where(age >= start, above, np.where(age >= 25, below, 0.0)) * lift
        bits |= (base[k] < share).astype(np.int64) << k
    return bits


def _names(n: int, rng: np.random.Generator, household: Ints) -> tuple[pl.Series, pl.Series]:
    given = np.array([head + tail for head in GIVEN_HEADS for tail in GIVEN_TAILS])
    surnames = np.array(
        [head + middle + tail for head in SURNAME_HEADS for middle in SURNAME_HEADS for tail in SURNAME_TAILS]
    )
    of_household = rng.integers(0, len(surnames), int(household.max()) + 1)
    return pl.Series(given[rng.integers(0, len(given), n)]), pl.Series(surnames[of_household[household]])


def _first_digits(rng: np.random.Generator, birth_year: Ints, kind: Ints) -> Ints:
    """First digit by birth and status (domain.md §4); which share has which is an assumption."""
    u = rng.random(len(kind))
    young = np.where(u < 0.97, 1, np.where(u < 0.99, 2, 5))
    old = np.where(u < 0.92, 3, np.where(u < 0.97, 4, 5))
    stateless = np.where(u < 0.4, 0, np.where(u < 0.75, 6, 7))
    return np.select(
        [kind == 1, kind == 2], [np.full(len(kind), 6), stateless], np.where(birth_year >= 1984, young, old)
    )


def build_people(
    provinces: pl.DataFrame, facilities: pl.DataFrame, period: Period, n: int, rng: np.random.Generator
) -> pl.DataFrame:
    """One row a person, ordered by home province and household.

    person, household, p (home province), region, kind (index in KINDS), sex (1, 2), birth_day (days from the start),
    age (years at the start), cid (text, what the state has given; empty for most migrants), given, surname, nation,
    labor, instype, chronic (bits), pattern, units `primary`…`private`, main, sub (f, -1 none), the same after a move
    with suffix 2, move_day, death_day, mother (person, -1 unknown) and mother_cid (of newborns), addr_p (province of
    the civil address), district.
    """
    p = np.sort(_pick(rng, _home_provinces(provinces, facilities), n))
    size = rng.choice([1, 2, 3, 4, 5, 6], n, p=[0.25, 0.25, 0.22, 0.16, 0.08, 0.04])  # assumption
    ends = np.cumsum(size)
    household = np.searchsorted(ends, np.arange(n), side="right")
    age = _ages(rng, n)
    sex = np.where(rng.random(n) < FEMALE_SHARE, 2, 1)
    u = rng.random(n)
    kind = np.where(u < MIGRANT_SHARE, 1, np.where(u < MIGRANT_SHARE + STATELESS_SHARE, 2, 0))
    age = np.where(kind == 1, 18 + (age % 40), age)
    is_newborn = (kind == 0) & (rng.random(n) < BIRTHS_PER_YEAR * period.years)
    birth_day = np.where(is_newborn, rng.integers(0, period.n_days, n), -(age * 365.25).astype(np.int64) - 1)
    age = np.where(is_newborn, 0.0, age)
    kind = np.where(is_newborn, 3, kind)
    birth_year = period.start.year - np.ceil(age).astype(np.int64)
    mother = _mothers(is_newborn, sex, age, p)
    household = np.where(mother >= 0, household[mother], household)
    given, surname = _names(n, rng, household)

    # Assumption: a quarter of migrants and most of the stateless hold a 13-digit number.
    has_number = rng.random(n) < np.select([kind == 1, kind == 2], [0.25, 0.6], default=1.0)
    code = provinces["code"].cast(pl.Int64).to_numpy()
    cid = numbers_of(
        _first_digits(rng, birth_year, kind), code[p], np.full(n, int(CID_OFFICE)), (np.arange(n) * 7_654_321) % 10**7
    )
    units = _units(facilities, rng, p)
    instype = _rights(rng, age.astype(np.int64), kind)
    death = _deaths(rng, age, period)
    move = np.where(
        (rng.random(n) < MOVES_PER_YEAR * period.years) & ~is_newborn, rng.integers(0, period.n_days, n), NO_DAY
    )
    frame = pl.DataFrame(
        {
            "person": np.arange(n),
            "household": household,
            "p": p,
            "region": provinces["region"].gather(p),
            "kind": kind,
            "sex": sex,
            "birth_day": birth_day,
            "age": age,
            "cid": cid,
            "given": given,
            "surname": surname,
            "nation": np.where(
                kind == 1, np.where(rng.random(n) < 0.7, "048", "056"), np.where(kind == 2, "999", "099")
            ),
            "labor": np.where(kind == 1, "13", np.where(kind == 2, "11", "")),
            "instype": instype,
            "chronic": _chronic(rng, age),
            "pattern": _pick(rng, np.array([share for _, share, _ in PATTERNS]), n),
            **units,
            "move_day": move,
            "death_day": np.where(is_newborn & (death < birth_day), NO_DAY, death),
            # 8 % live elsewhere than they are registered: assumption.
            "addr_p": np.where(rng.random(n) < 0.08, rng.permutation(p), p),
            "district": rng.integers(1, 9, n),
            "no_main": rng.random(n) < 0.6,
            "mother": mother,
        }
    ).with_columns(cid=pl.when(pl.Series(has_number)).then(pl.col("cid")).otherwise(pl.lit("")))
    frame = frame.with_columns(
        mother_cid=pl.when(pl.Series(mother >= 0))
        .then(frame["cid"].gather(np.maximum(mother, 0)))
        .otherwise(pl.lit(""))
    )
    return _with_homes(frame, facilities, rng)


def _mothers(is_newborn: Bools, sex: Ints, age: Floats, p: Ints) -> Ints:
    """A woman of 18 to 42 of the same province for each newborn; -1 for others, or where there is none."""
    mother = np.full(len(p), -1, dtype=np.int64)
    women = np.flatnonzero((sex == 2) & (age >= 18) & (age <= 42) & ~is_newborn)
    babies = np.flatnonzero(is_newborn)
    if len(women) == 0:
        return mother
    # Both are ordered by province; the woman next in order is of the same province unless it has none.
    found = women[np.minimum(np.searchsorted(women, babies), len(women) - 1)]
    mother[babies] = np.where(p[found] == p[babies], found, -1)
    return mother


def _with_homes(frame: pl.DataFrame, facilities: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Main and sub contracted unit, and for who moves the units of the person whose neighbour he becomes."""
    level = facilities["level"].to_numpy()
    # The main unit is the hospital that a person uses, the community hospital for those who use none (assumption).
    uses_general = np.isin(frame["pattern"].to_numpy(), GENERAL_PATTERNS)
    hospital = np.where(uses_general, frame["general"].to_numpy(), frame["community"].to_numpy())
    # Civil servants and self-payers have no contracted unit; many senders leave MAIN empty for them (assumption).
    contracted = ~(frame["no_main"].to_numpy() & frame["instype"].str.contains(r"^[1239]").to_numpy())
    primary = frame["primary"].to_numpy()
    frame = frame.drop("no_main").with_columns(
        pl.Series("main", np.where(contracted, hospital, -1)),
        pl.Series("sub", np.where(contracted & (level[primary] == "primary"), primary, -1)),
    )
    columns = ["p", "primary", "community", "general", "private", "main", "sub"]
    target = np.where(frame["move_day"].to_numpy() < NO_DAY, rng.permutation(len(frame)), frame["person"].to_numpy())
    moved = frame.select(columns)[target].rename({name: f"{name}2" for name in columns})
    return pl.concat([frame, moved], how="horizontal")
