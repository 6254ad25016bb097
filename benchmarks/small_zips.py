"""A national day: the same rows in 14,000 small zips and in 100.

    python -m benchmarks.small_zips [--zips 14000] [--against 100] [--runs 3]

Each zip comes from a facility of its own; the registry knows all of them in both runs. It holds 440 rows: 300 million
visits a year of 7.5 rows, from 14,000 facilities. Receiving (every zip copied
into the inbox and hashed on the way) is measured alone too, and so is hashing, both with zips in place of rows: what
receiving leaves of ingest is landing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.country import (
    Material,
    country_arguments,
    facility_codes,
    land,
    make_country,
    material,
    repack,
    write_registry,
    zips_in,
)
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.results import Result, Target, cpu, report
from identity.sealing import SealKey
from ingestion.delivery import content_hash
from ingestion.inbox import receiving, store
from ingestion.places import PIECE_BYTES

ROWS_A_ZIP = 440


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        yield from iter(lambda: handle.read(PIECE_BYTES), b"")


def receive(deliveries: Path, inbox: Path) -> int:
    with receiving(inbox):
        return len([store(inbox, SealKey("inbox", bytes(32)), _pieces(path)) for path in zips_in(deliveries)])


def hash_all(deliveries: Path) -> int:
    return len([content_hash(path) for path in zips_in(deliveries)])


def repeated(rows: Material, n_rows: int) -> Material:
    """The rows as often as it takes to have so many: each facility's are its own, whoever has the same."""
    times = max(1, round(n_rows / sum(len(lines) for _, lines in rows.values())))
    return {file: (header, lines * times) for file, (header, lines) in rows.items()}


def main() -> None:
    parser = country_arguments(__doc__)
    parser.add_argument("--zips", type=int, default=14_000)
    parser.add_argument("--against", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", arguments)
        rows = repeated(material(root / "country" / "deliveries"), arguments.zips * ROWS_A_ZIP)
        many, few = f"{arguments.zips:,} zips", f"{arguments.against:,} zips"
        sources = {many: root / "many", few: root / "few"}
        repack(rows, sources[many], arguments.zips)
        repack(rows, sources[few], arguments.against)
        registry = root / "registry.csv"
        write_registry(registry, facility_codes(arguments.zips))
        works = {}
        for name, source in sources.items():
            works[f"{name}: ingest"] = lambda run, source=source: partial(
                land, source, registry, root / f"home-{source.name}{run}"
            )
            works[f"{name}: receiving"] = lambda run, source=source: partial(
                receive, source, root / f"inbox-{source.name}{run}"
            )
            works[f"{name}: hashing"] = lambda _, source=source: partial(hash_all, source)
        costs = measured_in_turn(works, arguments.runs)
    show_costs("A national day", costs, arguments.runs)
    small, large = costs[f"{many}: ingest"], costs[f"{few}: ingest"]
    if small.rows != large.rows:
        raise SystemExit(f"{small.rows:,} rows came in {many}, {large.rows:,} in {few}: not the same work.")
    lines = [
        cpu("CPU of many zips ÷ few", small, large, 2),
        Target("wall of many zips ÷ few", small.wall, 2, large.wall, "s"),
    ]
    report(Result("small_zips", f"{many} against {few}", lines))


if __name__ == "__main__":
    main()
