"""Checking a day's landing, against landing it.

    python -m benchmarks.checkpoint [--facilities 300] [--months 6] [--scale 1] [--runs 3]

CPU seconds of `ruam check landing` over everything that was just landed, the import of Great Expectations and the pages
it writes included, against those of the `ruam ingest` that landed it. The default size is about a day of the nation:
300 million visits a year of 7.5 rows are 6.2 million rows a day. With far fewer, the import alone decides; where the
packages lie without bytecode, which `uv` does not write unless asked, it costs more than twice as much.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.country import country_arguments, make_country, new_home, told
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.results import Result, cpu, report
from ingestion.job import ingest
from quality.checkpoints import check_landing
from ruam.home import DataHome
from ruam.landing import committed_batches
from ruam.settings import Settings

SHARE = 0.20
"""Of landing's CPU that checking may take."""


def landed(home: Path, deliveries: Path) -> int:
    return sum(outcome.n_rows for outcome in ingest(Settings(home=home, workers=2), [deliveries]).outcomes)


def checked(home: Path) -> int:
    verdict = check_landing(DataHome(home), everything=True)
    assert verdict is not None
    assert verdict.is_passed, verdict.stopping
    counted = {one.table: one.n_rows or 0 for one in verdict.outcomes}
    return sum(n for table, n in counted.items() if not table.startswith(("receipt", "rejects", "landed")))


def main() -> None:
    parser = country_arguments(__doc__)
    parser.set_defaults(facilities=300, months=6, scale=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", arguments)
        empty, full = root / "empty", root / "full"
        new_home(empty, root / "country" / "registry.csv")
        shutil.copytree(empty, full, symlinks=True)
        landed(full, root / "country" / "deliveries")
        assert committed_batches(full / "landing")

        def landing(run: int) -> Callable[[], int]:
            home = root / f"landed-{run}"
            shutil.copytree(empty, home, symlinks=True)
            return partial(landed, home, root / "country" / "deliveries")

        day, check = "landing", "checking"
        costs = measured_in_turn({day: landing, check: lambda _: partial(checked, full)}, arguments.runs)
    show_costs("A landing and its check", costs, arguments.runs)
    report(Result("checkpoint", told(arguments), [cpu("CPU of checking ÷ landing", costs[check], costs[day], SHARE)]))


if __name__ == "__main__":
    main()
