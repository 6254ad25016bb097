"""Care: the visits of some people of one region, as numbers; people after people, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import CHRONIC_CODES, Bools, Catalogue, Floats, Ints
from ingestion.synthetic.people import NO_DAY, PATTERNS, Period

VISITS_PER_YEAR = 3.821  # [NHSO342], FY2560
ADMISSIONS_PER_YEAR = 0.125  # [NHSO342], FY2560
CHRONIC_VISITS_PER_YEAR = 3.8  # assumption: every three months, and some between
SPAWNED = 0.10
"""Visits that follow from another one, per visit (repeats, referrals, second clinics): measured on the country."""

# Where visits go outside one's own units, when home and place are both live, and the share of it before that.
# Across regions 3 % in the first weeks [BKBSHOP]; the rest is an assumption. Before: emergencies and self-pay only,
# far above the 0.15 % that the earlier scheme paid for [PRACH], because those visits were not claimed under it.
OUT_OF_NETWORK = 0.06
CROSS_PROVINCE = 0.04
CROSS_REGION = 0.03
BEFORE = 0.3

RED01_PLANTED = 0.004  # of visits; Taiwan: 0.36 % same day, same diagnosis [WU14]
RED02_PLANTED = 0.026  # of visits; Taiwan: 3.8 % within 7 days, same specialty [CHEN06]
FOLLOW_UP = 0.045  # same facility, 2-10 days later, by appointment: assumption
SECOND_CLINIC = 0.008  # a second SEQ on the same day in the same facility: assumption
REFERRED = 0.03  # of visits below the general hospital: assumption
READMITTED = 0.10  # of admissions; 13 % within 28 days in one general hospital [TAK]

WEEKDAY = (1.25, 1.12, 1.06, 1.02, 1.08, 0.42, 0.35)  # assumption, Monday first
SEASONS = {
    # by calendar month; assumption: colds in the cool and rainy months, dengue and influenza in the rains
    "none": (1.0,) * 12,
    "cool": (1.35, 1.25, 1.0, 0.75, 0.75, 0.9, 1.0, 1.05, 1.05, 0.95, 1.0, 1.2),
    "rain": (0.6, 0.6, 0.6, 0.7, 0.9, 1.4, 1.7, 1.6, 1.4, 1.1, 0.8, 0.6),
    "hot": (1.0, 1.1, 1.3, 1.4, 1.2, 1.0, 0.9, 0.9, 0.85, 0.85, 0.9, 0.95),
}
PLANTS = ("", "red01", "red02", "follow_up", "second_clinic", "referral", "readmission")
LEVELS = ("primary", "community", "general", "private")


@dataclass(frozen=True)
class Places:
    """Facilities as arrays by f, and the go-live day by province."""

    p: Ints
    region: Ints
    level: Ints
    hospital: Bools
    size: Floats
    live_day: Ints
    n_provinces: int

    @classmethod
    def of(cls, facilities: pl.DataFrame, provinces: pl.DataFrame) -> Places:
        level = np.array([LEVELS.index(name) for name in facilities["level"]], dtype=np.int64)
        return cls(
            facilities["p"].to_numpy(),
            facilities["region"].cast(pl.Int64).to_numpy(),
            level,
            level > 0,
            np.array([1.0, 2.0, 6.0, 2.0])[level],
            provinces["live_day"].to_numpy(),
            len(provinces),
        )


class _Visits:
    """Columns of equal length that grow by whole blocks."""

    names = (
        "person",
        "f",
        "day",
        "sec",
        "cond",
        "typein",
        "typeout",
        "ref_in",
        "ref_out",
        "los",
        "accident",
        "urgency",
        "plant",
    )

    def __init__(self, **columns: Ints) -> None:
        self.columns = columns

    def __getitem__(self, name: str) -> Ints:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["person"])

    def take(self, rows: Ints, changed: Mapping[str, Ints | int]) -> _Visits:
        columns = {name: values[rows] for name, values in self.columns.items()}
        columns |= {name: np.broadcast_to(value, len(rows)).astype(np.int64) for name, value in changed.items()}
        return _Visits(**columns)

    @staticmethod
    def join(blocks: list[_Visits]) -> _Visits:
        return _Visits(**{name: np.concatenate([block[name] for block in blocks]) for name in _Visits.names})


def _day_curves(period: Period) -> dict[str, Floats]:
    """Cumulative weights of the days of the period for each season."""
    days = [period.start + timedelta(days=k) for k in range(period.n_days)]
    weekday = np.array([WEEKDAY[day.weekday()] for day in days])
    month = np.array([day.month - 1 for day in days])
    return {name: np.cumsum(weekday * np.array(curve)[month]) for name, curve in SEASONS.items()}


def _draw(rng: np.random.Generator, cumulative: Floats, n: int) -> Ints:
    return _draw_at(rng.random(n), cumulative)


def _poisson_rows(rng: np.random.Generator, rate: Floats) -> Ints:
    return np.repeat(np.arange(len(rate)), rng.poisson(rate))


def _conditions_for(people: pl.DataFrame, rows: Ints, catalogue: Catalogue, rng: np.random.Generator) -> Ints:
    """A condition for each row by the person's age and sex, from the weights of those that can befall him."""
    conditions = catalogue.conditions
    age, sex = people["age"].to_numpy()[rows], people["sex"].to_numpy()[rows]
    edges = np.unique(np.concatenate([conditions["age_from"].to_numpy(), conditions["age_to"].to_numpy() + 1]))
    cell = np.searchsorted(edges, age, side="right") * 2 + (sex - 1)
    weight, low, high = (catalogue.column(name) for name in ("weight", "age_from", "age_to"))
    wanted = conditions["sex"].fill_null("").to_numpy()
    drawn = np.zeros(len(rows), dtype=np.int64)
    order = np.argsort(cell, kind="stable")
    cells, starts = np.unique(cell[order], return_index=True)
    for value, begin, end in zip(cells, starts, [*starts[1:], len(order)], strict=True):
        at = float(edges[min(value // 2, len(edges)) - 1])
        can = (low <= at) & (at <= high) & (wanted != ("f", "m")[1 - (value % 2)] if value % 2 == 0 else wanted != "m")
        drawn[order[begin:end]] = _draw(rng, np.cumsum(weight * can), end - begin)
    return drawn


def _days_for(cond: Ints, catalogue: Catalogue, period: Period, rng: np.random.Generator) -> Ints:
    season = catalogue.conditions["season"].fill_null("none").to_numpy()[cond]
    day = np.zeros(len(cond), dtype=np.int64)
    for name, curve in _day_curves(period).items():
        rows = np.flatnonzero(season == name)
        day[rows] = _draw(rng, curve, len(rows))
    return day


def _own_units(people: pl.DataFrame, rows: Ints, day: Ints, level: Ints) -> Ints:
    """The person's own facility of each level on that day."""
    moved = day >= people["move_day"].to_numpy()[rows]
    before = np.column_stack([people[name].to_numpy() for name in LEVELS])
    after = np.column_stack([people[f"{name}2"].to_numpy() for name in LEVELS])
    return np.where(moved, after[rows, level], before[rows, level])


def _levels(people: pl.DataFrame, rows: Ints, cond: Ints, catalogue: Catalogue, rng: np.random.Generator) -> Ints:
    """Level of care by the person's pattern; what only a hospital or only a primary unit does goes there."""
    cumulative = np.cumsum([shares for _, _, shares in PATTERNS], axis=1)
    pattern = people["pattern"].to_numpy()[rows]
    level = (rng.random(len(rows))[:, None] > cumulative[pattern]).sum(axis=1).clip(0, 3)
    place = catalogue.conditions["place"].to_numpy()[cond]
    hospital = np.where(rng.random(len(rows)) < 0.6, 1, 2)
    level = np.where((place == "hospital") & (level == 0), hospital, level)
    return np.where((place == "primary") & (rng.random(len(rows)) < 0.8), 0, level)


def _elsewhere(f: Ints, home_p: Ints, day: Ints, places: Places, rng: np.random.Generator) -> Ints:
    """Send some visits out of the network, the province or the region, by what the policy allows on that day."""
    u = rng.random(len(f))
    chosen = f.copy()
    bounds = (CROSS_REGION, CROSS_REGION + CROSS_PROVINCE, CROSS_REGION + CROSS_PROVINCE + OUT_OF_NETWORK)
    region = u < bounds[0]
    province = ~region & (u < bounds[1])
    network = ~region & ~province & (u < bounds[2])
    chosen[region] = _draw(rng, np.cumsum(places.size), int(region.sum()))
    home_region = places.region[f]
    for name in np.unique(home_region):
        inside = np.flatnonzero(places.region == name)
        rows = np.flatnonzero(province & (home_region == name))
        chosen[rows] = inside[_draw(rng, np.cumsum(places.size[inside]), len(rows))]
    rows = np.flatnonzero(network)
    chosen[rows] = _other_nearby(f[rows], places, rng)
    live = (places.live_day[home_p] <= day) & (places.live_day[places.p[chosen]] <= day)
    stays = (chosen != f) & ~live & (rng.random(len(f)) >= BEFORE)
    return np.where(stays, f, chosen)


def _other_nearby(f: Ints, places: Places, rng: np.random.Generator) -> Ints:
    """Another facility of the same province, else of the same region, else any other."""
    other = f.copy()
    draws = rng.random(len(f))
    for own in np.unique(f):
        rows = np.flatnonzero(f == own)
        near = np.flatnonzero((places.p == places.p[own]) & (np.arange(len(places.p)) != own))
        if len(near) == 0:
            near = np.flatnonzero((places.region == places.region[own]) & (np.arange(len(places.p)) != own))
        if len(near) == 0:
            near = np.flatnonzero(np.arange(len(places.p)) != own)
        other[rows] = near[_draw_at(draws[rows], np.cumsum(places.size[near]))]
    return other


def _draw_at(u: Floats, cumulative: Floats) -> Ints:
    found = np.searchsorted(cumulative, u * cumulative[-1], side="right")
    return np.asarray(np.minimum(found, len(cumulative) - 1), dtype=np.int64)


def _times(n: int, rng: np.random.Generator) -> Ints:
    """Second of the day: mornings of office hours mostly, some in the evening. Assumption."""
    office = 8 * 3600 + (rng.beta(1.6, 2.6, n) * 8 * 3600)
    evening = 16.5 * 3600 + rng.random(n) * 6 * 3600
    return np.where(rng.random(n) < 0.93, office, evening).astype(np.int64)


def _block(rows: Ints, f: Ints, day: Ints, cond: Ints, typein: Ints, rng: np.random.Generator) -> _Visits:
    n = len(rows)
    return _Visits(
        person=rows,
        f=f,
        day=day,
        sec=_times(n, rng),
        cond=cond,
        typein=typein,
        typeout=np.ones(n, dtype=np.int64),
        ref_in=np.full(n, -1),
        ref_out=np.full(n, -1),
        los=np.full(n, -1),
        accident=np.zeros(n, dtype=np.int64),
        urgency=np.zeros(n, dtype=np.int64),
        plant=np.zeros(n, dtype=np.int64),
    )


def _chronic_visits(people: pl.DataFrame, catalogue: Catalogue, period: Period, rng: np.random.Generator) -> _Visits:
    """Follow-ups of people with chronic disease, at their one usual unit for it, mostly by appointment."""
    bits = people["chronic"].to_numpy()
    per_year = np.where(bits > 0, CHRONIC_VISITS_PER_YEAR, 0.0) * np.where(bits & 16, 6.0, 1.0)
    rows = _poisson_rows(rng, per_year * period.years)
    has = (bits[rows, None] >> np.arange(len(CHRONIC_CODES))) & 1
    # Which of a person's diseases is principal: assumption.
    weight = has * np.array([0.55, 0.8, 0.18, 0.8, 3.0])
    cumulative = np.cumsum(weight, axis=1)
    which = (
        (rng.random(len(rows))[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1).clip(0, len(CHRONIC_CODES) - 1)
    )
    cond = catalogue.chronic[which]
    # The unit is the person's, not the visit's: one draw a person, with 8 % of visits elsewhere.
    usual = _levels(people, np.arange(len(people)), np.zeros(len(people), dtype=np.int64), catalogue, rng)[rows]
    level = np.where(rng.random(len(rows)) < 0.08, rng.integers(0, 3, len(rows)), usual)
    level = np.where((which == 4) & (level == 0), 2, level)
    day = _draw(rng, _day_curves(period)["none"], len(rows))
    u = rng.random(len(rows))
    typein = np.where(u < 0.82, 2, np.where(u < 0.955, 1, 5))
    return _block(rows, _own_units(people, rows, day, level), day, cond, typein, rng)


def _acute_visits(
    people: pl.DataFrame, catalogue: Catalogue, period: Period, rate: float, rng: np.random.Generator
) -> _Visits:
    """First visits of acute illness, injuries and services; children and the old come more often (assumption)."""
    age = people["age"].to_numpy()
    factor = np.select([age < 6, age < 20, age < 45, age < 65], [1.5, 0.75, 0.75, 1.05], default=1.5)
    spread = rng.gamma(2.0, 0.5, len(people))
    rows = _poisson_rows(rng, rate * period.years * factor / factor.mean() * spread)
    cond = _conditions_for(people, rows, catalogue, rng)
    day = _days_for(cond, catalogue, period, rng)
    level = _levels(people, rows, cond, catalogue, rng)
    u = rng.random(len(rows))
    service = catalogue.kind("service")[cond]
    injury = catalogue.kind("injury")[cond]
    severe = catalogue.column("admit")[cond] >= 20
    typein = np.where(u < 0.05, 2, np.where(u < 0.062, 5, 1))
    typein = np.where(service, np.where(u < 0.7, 2, 1), typein)
    typein = np.where((injury | severe) & (u > 0.94), 4, typein)
    visits = _block(rows, _own_units(people, rows, day, level), day, cond, typein, rng)
    visits.columns["accident"] = (injury & (rng.random(len(rows)) < 0.6)).astype(np.int64)
    visits.columns["urgency"] = np.where(
        visits["accident"] == 1, 1 + _draw(rng, np.cumsum([0.02, 0.1, 0.33, 0.35, 0.2]), len(rows)), 0
    )
    return visits


def _outcomes(
    visits: _Visits,
    people: pl.DataFrame,
    catalogue: Catalogue,
    places: Places,
    period: Period,
    rng: np.random.Generator,
) -> None:
    """How visits end: admitted, referred, refused, absconded, or without a diagnosis."""
    n = len(visits)
    hospital = places.hospital[visits["f"]]
    propensity = catalogue.column("admit")[visits["cond"]] * hospital * (visits["typein"] != 5)
    wanted = ADMISSIONS_PER_YEAR * period.years * len(people) / (1 + READMITTED)
    admitted = rng.random(n) < _scaled(propensity, wanted)
    u = rng.random(n)
    typeout = np.where(u < 0.002, 7, np.where(u < 0.004, 8, np.where(u < 0.007, 9, 1)))
    general = _own_units(people, visits["person"], visits["day"], np.full(n, 2))
    acute = ~catalogue.kind("service")[visits["cond"]]
    refers = (rng.random(n) < REFERRED) & (places.level[visits["f"]] < 2) & (general != visits["f"]) & acute & ~admitted
    refers &= visits["typein"] != 5
    visits.columns["typeout"] = np.where(admitted, 2, np.where(refers, 3, typeout))
    visits.columns["ref_out"] = np.where(refers, general, -1)
    visits.columns["los"] = np.where(admitted, _stays(visits["cond"], catalogue, rng), -1)


def _scaled(propensity: Floats, wanted: float) -> Floats:
    """Probabilities in proportion to `propensity` that sum to `wanted`; none above 1, so the rest bear more."""
    chance = propensity
    for _ in range(6):
        chance = np.minimum(chance * (wanted / max(float(chance.sum()), 1e-9)), 1.0)
    return chance


def _stays(cond: Ints, catalogue: Catalogue, rng: np.random.Generator) -> Ints:
    """Nights: lognormal around the condition's own; community hospitals average 2.8 [MUAK], stroke 11.9 [THIPSTR]."""
    return np.floor(catalogue.column("los")[cond] * rng.lognormal(0.0, 0.55, len(cond))).astype(np.int64).clip(0, 60)


def _spawned(visits: _Visits, catalogue: Catalogue, places: Places, rng: np.random.Generator) -> list[_Visits]:
    """Visits that follow from others: repeats elsewhere, follow-ups, second clinics, referrals, readmissions."""
    n = len(visits)
    u = rng.random(n)
    repeatable = catalogue.kind("acute")[visits["cond"]] & (visits["typein"] == 1) & (visits["typeout"] == 1)
    # The planted shares are of all visits, but only repeatable ones can be a source.
    lift = n / max(repeatable.sum(), 1)
    red01 = np.flatnonzero(repeatable & (u < RED01_PLANTED * lift))
    red02 = np.flatnonzero(repeatable & (u >= RED01_PLANTED * lift) & (u < (RED01_PLANTED + RED02_PLANTED) * lift))
    follow = np.flatnonzero((u > 1 - FOLLOW_UP) & (visits["typeout"] == 1))
    second = np.flatnonzero((u < 1 - FOLLOW_UP) & (u > 1 - FOLLOW_UP - SECOND_CLINIC) & (visits["typeout"] == 1))
    refer = np.flatnonzero(visits["ref_out"] >= 0)
    readmit = np.flatnonzero((visits["los"] >= 0) & (rng.random(n) < READMITTED))
    plain: dict[str, Ints | int] = {
        "typein": 1,
        "typeout": 1,
        "accident": 0,
        "urgency": 0,
        "ref_in": -1,
        "ref_out": -1,
        "los": -1,
    }

    def later(rows: Ints) -> Ints:
        return np.minimum(visits["sec"][rows] + 3600 + (rng.random(len(rows)) * 5400).astype(np.int64), 86_000)

    def gap(rows: Ints, low: int, high: int) -> Ints:
        return visits["day"][rows] + rng.integers(low, high + 1, len(rows))

    readmission_day = visits["day"][readmit] + visits["los"][readmit] + rng.integers(2, 28, len(readmit))
    return [
        visits.take(
            red01, plain | {"f": _other_nearby(visits["f"][red01], places, rng), "sec": later(red01), "plant": 1}
        ),
        visits.take(
            red02,
            plain
            | {
                "f": _other_nearby(visits["f"][red02], places, rng),
                "day": gap(red02, 1, 7),
                "sec": _times(len(red02), rng),
                "plant": 2,
            },
        ),
        visits.take(
            follow, plain | {"typein": 2, "day": gap(follow, 2, 10), "sec": _times(len(follow), rng), "plant": 3}
        ),
        visits.take(second, plain | {"sec": later(second), "plant": 4, "typein": visits["typein"][second]}),
        visits.take(
            refer,
            plain
            | {
                "typein": 3,
                "f": visits["ref_out"][refer],
                "ref_in": visits["f"][refer],
                "day": gap(refer, 0, 1),
                "sec": later(refer),
                "plant": 5,
            },
        ),
        visits.take(
            readmit,
            plain
            | {
                "typeout": 2,
                "day": readmission_day,
                "sec": _times(len(readmit), rng),
                "los": _stays(visits["cond"][readmit], catalogue, rng),
                "plant": 6,
            },
        ),
    ]


def visits_of(
    people: pl.DataFrame, places: Places, catalogue: Catalogue, period: Period, rng: np.random.Generator
) -> pl.DataFrame:
    """Visits of some people, sorted by facility and time.

    person, f, day (from the start), sec (of the day), cond (index), typein, typeout, ref_in, ref_out (f or -1), los
    (nights, -1 when not admitted), accident (0, 1), urgency (0 none), plant (index in PLANTS).
    """
    if people.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(_Visits.names, pl.Int32))
    chronic = _chronic_visits(people, catalogue, period, rng)
    per_year = (VISITS_PER_YEAR / (1 + SPAWNED)) - len(chronic) / (len(people) * period.years)
    visits = _Visits.join([chronic, _acute_visits(people, catalogue, period, per_year, rng)])
    home = np.where(
        visits["day"] >= people["move_day"].to_numpy()[visits["person"]],
        people["p2"].to_numpy()[visits["person"]],
        people["p"].to_numpy()[visits["person"]],
    )
    visits.columns["f"] = _elsewhere(visits["f"], home, visits["day"], places, rng)
    _outcomes(visits, people, catalogue, places, period, rng)
    whole = _Visits.join([visits, *_spawned(visits, catalogue, places, rng)])
    person, day = whole["person"], whole["day"]
    alive = (day < period.n_days) & (day >= people["birth_day"].to_numpy()[person])
    alive &= day <= np.minimum(people["death_day"].to_numpy()[person], NO_DAY)
    frame = pl.DataFrame({name: whole[name].astype(np.int32) for name in _Visits.names}).filter(pl.Series(alive))
    return frame.with_columns(person=people["person"].cast(pl.Int32).gather(frame["person"])).sort(
        "f", "day", "sec", "person", "plant", "cond", maintain_order=True
    )
