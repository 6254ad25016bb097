"""A day's deliveries built into a year's warehouse, against a build of everything.

    python -m benchmarks.incremental [--share 0.003] [--facilities 300] [--months 12] [--scale 1] [--runs 3]
    python -m benchmarks.incremental --visits 2000000 [--share 0.003] [--runs 1] [--folder FOLDER]

All deliveries but a day's are landed and built; then that day is built, and after it everything anew. Seconds are those
of whole builds as `ruam build` makes them, dbt's own work and its data tests included; the first build, which also
parses the project, is not counted.

With `--visits` a country is copied until it has them (as `benchmarks.build` does), and the day brings deliveries that
came before once more, every row of them corrected: that takes no hours of generating.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.build import batches_with_rows, grow, land_country, rows_of
from benchmarks.country import START, country_arguments, make_country, new_home, told, zips_in
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.results import Result, cpu, memory, report
from identity.linkage.links import ensure_links
from ingestion.job import ingest
from ingestion.landing import ensure_schema_batch
from ingestion.reference import ensure_schemas, load
from ruam.build import build
from ruam.home import DataHome
from ruam.landing import region_of
from ruam.settings import Settings

SHARE = 0.05
"""Of a full build's time that a day may take."""

_AGAIN = {
    "delivery_id": "sha256(delivery_id || 'again')",
    "file_name": "replace(file_name, '.zip', '0.zip')",
    "sent_at": "sent_at + interval 1 day",
    "d_update": "d_update + interval 1 day",
    "price": "price + 1",
}
"""What differs in rows that are sent once more, by column."""


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


def built(settings: Settings, *, full_refresh: bool) -> int:
    if build(settings, full_refresh=full_refresh).is_full_refresh is not full_refresh:
        raise SystemExit("A day made a build of everything: see the log for the reason.")
    return n_visits(settings)


def _of_a_copy(of: Settings, copies: Path, *, full_refresh: bool) -> Callable[[int], Callable[[], int]]:
    """Each run has its own copy: a day that was built is no news."""

    def work(run: int) -> Callable[[], int]:
        copy = copy_of(copies, run, full_refresh=full_refresh)
        shutil.copytree(of.home, copy, symlinks=True)
        return partial(built, of.model_copy(update={"home": copy}), full_refresh=full_refresh)

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


def prepare_grown(root: Path, size: argparse.Namespace) -> Settings:
    """A home with a copied country built, and a day of corrections landed after it."""
    home = grow(land_country(root, size.visits), root / "grown", size.visits)
    settings = Settings(home=home.root, workers=2, memory_limit=size.memory_limit)
    build(settings)
    send_again(home, size.share)
    return settings


def send_again(home: DataHome, share: float) -> None:
    """Land a batch for each region that has any: of the country's deliveries about that share of all rows, by an order
    of their own kind, a day later and with every price changed."""
    sent = batches_with_rows(home)
    receipts = rows_of(str(batch / "receipts.parquet") for batch in sent)
    with duckdb.connect(config={"threads": 2}) as connection:
        # Up to the delivery with which the share is met best: one of a large hospital may hold a third of it.
        connection.execute(
            f"""
            create table chosen as
            select delivery_id, batch
            from (
                select delivery_id, batch, n_landed, sum(n_landed) over (order by md5(delivery_id)) as n_until
                from {receipts}
            )
            where n_until - n_landed / 2 < $share * (select sum(n_landed) from {receipts})
            """,
            {"share": share},
        )
        reached = {row[0] for row in connection.execute("select distinct batch from chosen").fetchall()}
        for before in sent:
            if before.name.removeprefix("batch=") not in reached:
                continue
            again = before.with_name(f"batch=20250602T0000000000{region_of(before)}-again")
            again.mkdir()
            for path in before.glob("*.parquet"):
                rows = rows_of([str(path)])
                columns = {str(row[0]) for row in connection.execute(f"describe from {rows}").fetchall()}
                changed = {name: expression for name, expression in _AGAIN.items() if name in columns}
                if "batch" in columns:
                    changed["batch"] = f"'{again.name.removeprefix('batch=')}'"
                shown = ", ".join(f"{expression} as {name}" for name, expression in changed.items())
                connection.execute(f"""
                    copy (select * replace ({shown}) from {rows} semi join chosen using (delivery_id))
                    to '{again / path.name}' (format parquet)
                """)


def compare(settings: Settings, root: Path, size: argparse.Namespace, limit: float | None = SHARE) -> Result:
    """Build the day, and everything, in copies of the home, which stay in `root` (`copy_of`)."""
    day, full = "a day", "everything"
    works = {
        day: _of_a_copy(settings, root, full_refresh=False),
        full: _of_a_copy(settings, root, full_refresh=True),
    }
    costs = measured_in_turn(works, size.runs)
    show_costs(f"{size.share:.1%} of a year's deliveries; rows are visits", costs, size.runs)
    lines = [
        cpu(f"CPU of {day} ÷ {full}", costs[day], costs[full], limit),
        memory(f"memory of {day} ÷ {full}", costs[day], costs[full]),
    ]
    country = f"a copied country of {costs[full].rows:,} visits" if size.visits else told(size)
    return Result("incremental", f"{size.share:.1%} of {country}", lines)


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """Size of the country and of its day, from the command line."""
    parser = country_arguments(description)
    parser.add_argument("--share", type=float, default=0.003, help="of the deliveries' bytes that the day brings")
    parser.add_argument("--visits", type=int, default=0, help="copy a country until it has these")
    parser.add_argument("--memory-limit", default="4GB", help="with --visits")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.set_defaults(facilities=300, scale=1)
    return parser


def main() -> None:
    size = arguments_of(__doc__).parse_args()
    with tempfile.TemporaryDirectory(dir=size.folder) as folder:
        root = Path(folder)
        settings = prepare_grown(root, size) if size.visits else prepare(root, size)
        report(compare(settings, root, size))


if __name__ == "__main__":
    main()
