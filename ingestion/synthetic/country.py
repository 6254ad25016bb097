"""The whole country, from its arguments to its folder."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from calendar import monthrange
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl

from ingestion.synthetic import care, clerks, deliveries, schedule, truth
from ingestion.synthetic.catalogue import drug_map, load_catalogue
from ingestion.synthetic.facilities import UNKNOWN_CODES, build_facilities, write_registry
from ingestion.synthetic.geography import load_provinces
from ingestion.synthetic.people import PERSONS_AT_SCALE_1, Period, build_people

VISITS_PER_CHUNK = 100_000
"""Of the visits that one task holds: about 0.7 million rows, some 600 MB while they are texts."""
PEOPLE_PER_TASK = 100_000
"""Of one region, whose visits are drawn together."""
INLINE_BELOW = 60_000
"""Visits under which starting worker processes costs more than they save."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Summary:
    """What was written. `seconds` by stage: people, care, zips, truth, total; `n_rows` are rows inside zips."""

    n_facilities: int
    n_persons: int
    n_visits: int
    n_rows: int
    n_zips: int
    n_bytes: int
    seconds: dict[str, float] = field(default_factory=dict)
    truth: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _People:
    """Some people of one region: one task of care."""

    region: str
    part: int
    seed: int
    period: Period
    spill: Path


def make_period(start: date, n_months: int) -> tuple[Period, list[int], list[int]]:
    """The period, the month of each of its days, and the day after each month. Raises `ValueError` when `start` is
    not the first of a month or there is no month."""
    if start.day != 1:
        raise ValueError(f"start must be the first of a month, not {start}")
    if n_months < 1:
        raise ValueError(f"months must be 1 or more, not {n_months}")
    lengths = [
        monthrange(start.year + (start.month - 1 + m) // 12, (start.month - 1 + m) % 12 + 1)[1] for m in range(n_months)
    ]
    months = [m for m, length in enumerate(lengths) for _ in range(length)]
    return Period(start, n_months, len(months)), months, np.cumsum(lengths).tolist()


def _care_of(task: _People) -> int:
    """Write the visits of the task's people; returns their number."""
    of_region = pl.scan_parquet(task.spill / "people.parquet").filter(pl.col("region") == task.region)
    people = of_region.slice(task.part * PEOPLE_PER_TASK, PEOPLE_PER_TASK).collect()
    places = care.Places.of(
        pl.read_parquet(task.spill / "facilities.parquet"), pl.read_parquet(task.spill / "provinces.parquet")
    )
    rng = np.random.default_rng([task.seed, 2, int(task.region), task.part])
    visits = care.visits_of(people, places, load_catalogue(), task.period, rng)
    # Small row groups: a task reads only those that may hold its facilities.
    visits.write_parquet(task.spill / f"visits_{task.region}_{task.part:03d}.parquet", row_group_size=20_000)
    return len(visits)


def _chunks(spill: Path, n_facilities: int) -> list[tuple[int, int]]:
    """Runs of facilities with about VISITS_PER_CHUNK visits each."""
    counts = pl.scan_parquet(sorted(spill.glob("visits_*.parquet"))).group_by("f").agg(n=pl.len()).collect().sort("f")
    of = np.zeros(n_facilities, dtype=np.int64)
    of[counts["f"].to_numpy()] = counts["n"].to_numpy()
    number = (np.cumsum(of) - of) // VISITS_PER_CHUNK
    starts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), n_facilities]
    return [(a, b) for a, b in pairwise(starts) if b > a]


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[[Callable[[Any], Any], list[Any]], Iterator[Any]]]:
    """Run a function over tasks, in this process or in some others; results come in the order they are ready."""
    if workers <= 1:
        yield lambda function, tasks: map(function, tasks)
        return
    # A forked child would inherit locks of polars' threads.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield lambda function, tasks: (
            future.result() for future in as_completed([pool.submit(function, task) for task in tasks])
        )


def generate(
    out: Path,
    *,
    facilities: int = 300,
    months: int = 12,
    seed: int = 1,
    scale: float = 1.0,
    start: date = date(2024, 4, 1),
    workers: int = 2,
    progress: Progress | None = None,
) -> Summary:
    """Write an invented country into `out`: registry.csv, drugs.csv, deliveries/, truth/, README.txt.

    `scale` multiplies the people (392,000 at 1) and with them the visits; equal arguments give equal bytes, whatever
    `workers` is. What `out` held of an earlier country is replaced. `progress` is called with (percent done, 100).
    Raises `ValueError` for fewer facilities than health regions, a start that is not the first of a month, or no month.
    """
    clock = _Clock()
    period, month_of_day, month_ends = make_period(start, months)
    provinces = load_provinces(start)
    places = build_facilities(provinces, facilities, months, np.random.default_rng([seed, 0]))
    _clear(out)
    with tempfile.TemporaryDirectory(prefix=".spill-", dir=out) as folder:
        spill = Path(folder)
        (spill / "truth").mkdir()
        provinces.write_parquet(spill / "provinces.parquet")
        places.write_parquet(spill / "facilities.parquet")
        pl.DataFrame({"m": month_of_day}).write_parquet(spill / "months.parquet")
        plan = schedule.plan_deliveries(places, period, month_ends, np.random.default_rng([seed, 4]))
        plan = plan.with_columns(hospcode=places["hospcode"].gather(plan["f"]))
        plan.write_parquet(spill / "deliveries.parquet")
        n_persons = max(round(PERSONS_AT_SCALE_1 * scale), facilities)
        people = build_people(provinces, places, period, n_persons, np.random.default_rng([seed, 1]))
        people = clerks.identified(people, np.random.default_rng([seed, 6]))
        people.write_parquet(spill / "people.parquet", row_group_size=50_000)
        regions = people.group_by("region").len().sort("region")
        care_tasks = [
            _People(region, part, seed, period, spill)
            for region, n in regions.iter_rows()
            for part in range((n - 1) // PEOPLE_PER_TASK + 1)
        ]
        del people
        write_registry(places, out / "registry.csv")
        drug_map(load_catalogue()).write_csv(out / "drugs.csv")
        clock.lap("people")
        expected = n_persons * care.VISITS_PER_YEAR * period.years
        with _mapper(workers if expected > INLINE_BELOW else 1) as run:
            n_visits, done = 0, 0
            for n in run(_care_of, care_tasks):
                n_visits, done = n_visits + n, done + 1
                _tell(progress, 5 * done // len(care_tasks))
            clock.lap("care")
            chunks = _chunks(spill, facilities)
            least = 3 if len(chunks) == 1 else 1
            tasks = [
                deliveries.Chunk(number, a, b, seed, period, spill, out, least) for number, (a, b) in enumerate(chunks)
            ]
            results = []
            for result in run(deliveries.write_chunk, tasks):
                results.append(result)
                _tell(progress, 5 + 90 * len(results) // len(tasks))
        clock.lap("zips")
        stranger = _unknown_sender(out, start, month_ends[0])
        arguments = {
            "facilities": facilities,
            "months": months,
            "seed": seed,
            "scale": scale,
            "start": start.isoformat(),
        }
        totals = truth.write_truth(spill / "truth", out / "truth", plan, [stranger], dict(arguments))
        clock.lap("truth")
        _tell(progress, 100)
    (out / "README.txt").write_text(_readme(dict(arguments), totals), encoding="utf-8")
    return Summary(
        n_facilities=facilities,
        n_persons=n_persons,
        n_visits=totals["n_visits"],
        n_rows=sum(result.n_rows for result in results),
        n_zips=sum(result.n_zips for result in results) + 1,
        n_bytes=sum(result.n_bytes for result in results),
        seconds=clock.seconds,
        truth=totals,
    )


class _Clock:
    def __init__(self) -> None:
        self._start = self._last = perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = round(now - self._last, 2)
        self.seconds["total"] = round(now - self._start, 2)
        self._last = now


def _tell(progress: Progress | None, percent: int) -> None:
    if progress is not None:
        progress(percent, 100)


def _clear(out: Path) -> None:
    """Make room for the country: nothing else in the folder is touched."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("deliveries", "truth"):
        if (out / name).exists():
            shutil.rmtree(out / name)
    (out / "deliveries").mkdir()


def _unknown_sender(out: Path, start: date, month_end: int) -> dict[str, object]:
    at = datetime.combine(start + timedelta(days=month_end + 4), time(9, 30))
    name = deliveries.unknown_sender(out, at, UNKNOWN_CODES[0])
    return {
        "file_name": name,
        "hospcode": UNKNOWN_CODES[0],
        "kind": "unknown_sender",
        "repeats": None,
        "sent_at": at,
        "arrives_at": at,
        "outcome": "rejected",
        "n_rows": 0,
        "n_rejected": 0,
    }


def _readme(arguments: dict[str, object], totals: dict[str, int]) -> str:
    return (
        "An invented country. Nobody in these files lives: people, facilities, names and numbers are random.\n"
        "ประเทศสมมติ ไม่มีบุคคลหรือหน่วยบริการใดในแฟ้มเหล่านี้อยู่จริง\n\n"
        f"Made with: {', '.join(f'{name}={value}' for name, value in arguments.items())}\n"
        f"Visits that stand: {totals['n_visits']:,}\n\n"
        "registry.csv   facility registry in the ministry's form\n"
        "drugs.csv      drug map\n"
        "deliveries/    extracts of the 43-file standard, as senders make them: some are wrong on purpose\n"
        "truth/         what must be found in them (docs/synthetic.md explains each table)\n"
    )
