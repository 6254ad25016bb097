"""A day's deliveries built into a year's warehouse, against a build of everything.

    python -m benchmarks.incremental [--share 0.003] [--facilities 300] [--months 12] [--scale 1] [--runs 3]

All deliveries but a day's are landed and built; then that day is built, and after it everything anew. Seconds are those
of whole builds as `ruam build` makes them, dbt's own work and its data tests included; the first build, which also
parses the project, is not counted.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.country import START, country_arguments, make_country, new_home, told, zips_in
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.results import Result, cpu, memory, report
from identity.linkage.links import ensure_links
from ingestion.job import ingest
from ingestion.landing import ensure_schema_batch
from ingestion.reference import ensure_schemas, load
from ruam.build import build
from ruam.settings import Settings

SHARE = 0.05
"""Of a full build's time that a day may take."""


def set_aside(deliveries: Path, share: float, day: Path) -> None:
    """Move zips of about that share of all bytes to `day`, of the middle months first: a day brings late ones too."""
    zips = zips_in(deliveries)
    wanted = share * sum(path.stat().st_size for path in zips)
    day.mkdir()
    for path in zips[len(zips) // 2 :: 7]:
        if wanted <= 0:
            return
        wanted -= path.stat().st_size
        shutil.move(path, day / path.name)


def n_visits(settings: Settings) -> int:
    with duckdb.connect(str(settings.data_home.warehouse), read_only=True) as connection:
        found = connection.execute("select count(*) from fct_visits").fetchone()
    return found[0] if found else 0


def built(home: Path, *, full_refresh: bool) -> int:
    settings = Settings(home=home, workers=2)
    build(settings, full_refresh=full_refresh)
    return n_visits(settings)


def _of_a_copy(home: Path, copies: Path, *, full_refresh: bool) -> Callable[[int], Callable[[], int]]:
    """Each run has its own copy: a day that was built is no news."""

    def work(run: int) -> Callable[[], int]:
        copy = copy_of(copies, run, full_refresh=full_refresh)
        shutil.copytree(home, copy, symlinks=True)
        return partial(built, copy, full_refresh=full_refresh)

    return work


def copy_of(copies: Path, run: int, *, full_refresh: bool) -> Path:
    return copies / f"{run}-{'everything' if full_refresh else 'day'}"


def prepare(root: Path, size: argparse.Namespace) -> Settings:
    """A home with everything landed, and everything but a day built."""
    make_country(root / "country", size)
    set_aside(root / "country" / "deliveries", size.share, root / "day")
    settings = new_home(root / "home", root / "country" / "registry.csv")
    ensure_schema_batch(settings.data_home.landing)
    ensure_schemas(settings.data_home)
    ensure_links(settings.data_home.links)
    load(settings.data_home, "drugs", root / "country" / "drugs.csv", START)
    ingest(settings, [root / "country" / "deliveries"])
    build(settings)
    ingest(settings, [root / "day"])
    return settings


def compare(settings: Settings, root: Path, size: argparse.Namespace, limit: float | None = SHARE) -> Result:
    """Build the day, and everything, in copies of the home, which stay in `root` (`copy_of`)."""
    day, full = "a day", "everything"
    works = {
        day: _of_a_copy(settings.home, root, full_refresh=False),
        full: _of_a_copy(settings.home, root, full_refresh=True),
    }
    costs = measured_in_turn(works, size.runs)
    show_costs(f"{size.share:.1%} of a year's deliveries; rows are visits", costs, size.runs)
    lines = [
        cpu(f"CPU of {day} ÷ {full}", costs[day], costs[full], limit),
        memory(f"memory of {day} ÷ {full}", costs[day], costs[full]),
    ]
    return Result("incremental", f"{size.share:.1%} of {told(size)}", lines)


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """Size of the country and of its day, from the command line."""
    parser = country_arguments(description)
    parser.add_argument("--share", type=float, default=0.003, help="of the deliveries' bytes that the day brings")
    parser.set_defaults(facilities=300, scale=1)
    return parser


def main() -> None:
    size = arguments_of(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(compare(prepare(Path(folder), size), Path(folder), size))


if __name__ == "__main__":
    main()
