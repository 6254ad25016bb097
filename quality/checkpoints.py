"""Both checkpoints: what was landed, and the warehouse as it lies. Run, judged, and kept for the gates and the pages.

`RUAM_HOME/checks/<checkpoint>.json` holds the last verdict, `RUAM_HOME/checks/<checkpoint>/index.html` the pages that
Great Expectations writes of it (Data Docs), which need no network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingestion.reference import versions
from quality.expectations import ANSWER
from quality.suites import landing_suites, landing_views, told_files, warehouse_suites
from ruam.build import is_sound, last_build_id
from ruam.checks import LANDING, WAREHOUSE, Check, Outcome, Request, Suite, Verdict, keep, last_verdict
from ruam.dbt import manifest
from ruam.errors import CheckError, SetupError
from ruam.files import locked, replacing_folder
from ruam.home import DataHome
from ruam.landing import holds, is_schema, reading
from ruam.settings import PROJECT

INDEX = "index.html"


def check_landing(home: DataHome, *, everything: bool = False) -> Verdict | None:
    """The verdict on batches that no earlier check passed, or on all; None when there are none.

    Raises `CheckError` when no verdict could be reached.
    """
    home.require()
    before = last_verdict(home, LANDING)
    passed = set(before.batches) if before else set()
    with reading(home.landing) as folders:
        held = {folder: holds(folder) for folder in folders if not any(map(is_schema, holds(folder)))}
        wanted = [folder for folder, batches in held.items() if everything or not batches <= passed]
        if not wanted:
            return None
        registry = versions(home, "registry")
        if not registry:
            raise SetupError("No facility registry is loaded. Run `ruam reference load registry FILE` first.")
        with _scratch(home) as folder:
            database = Path(folder) / "landing.duckdb"
            with duckdb.connect(str(database)) as connection:
                landing_views(connection, wanted, registry)
                suites = landing_suites(told_files(connection))
            outcomes = _run(home, Request(name=LANDING, database=database, suites=tuple(suites)))
    found = Verdict(checkpoint=LANDING, at=_now(), outcomes=tuple(outcomes))
    now = frozenset[str]().union(*(held[folder] for folder in wanted))
    # What failed is checked again the next time, and what was passed before and failed now too.
    batches = passed | now if found.is_passed else passed - now
    found = found.model_copy(update={"batches": tuple(sorted(batches & frozenset[str]().union(*held.values())))})
    keep(home, found)
    return found


def check_warehouse(home: DataHome) -> Verdict:
    """The verdict on the last good build. Raises `CheckError` when none could be reached, `SetupError` when there is no
    good build, `BusyError` while one runs."""
    home.require()
    with locked(home.root / ".build.lock", f"The warehouse {home.warehouse}"):
        if not is_sound(home):
            raise SetupError("There is no good build to check. Run `ruam build` first.")
        suites = warehouse_suites(manifest(home))
        outcomes = _run(home, Request(name=WAREHOUSE, database=home.warehouse, suites=tuple(suites)))
        found = Verdict(checkpoint=WAREHOUSE, at=_now(), build_id=last_build_id(home), outcomes=tuple(outcomes))
        keep(home, found)
    return found


def docs_of(home: DataHome, checkpoint: str) -> Path:
    """The first of the pages on a checkpoint's last run."""
    return home.checks / checkpoint / INDEX


def _scratch(home: DataHome) -> tempfile.TemporaryDirectory[str]:
    home.spill.mkdir(mode=0o700, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="check-", dir=home.spill)


def _run(home: DataHome, request: Request) -> list[Outcome]:
    """Run the suites in a process of their own. It is believed only when it ends well and answers each check once."""
    if not request.suites:
        raise CheckError(f"There is nothing to check in the {request.name}.")
    home.checks.mkdir(mode=0o700, exist_ok=True)
    with _scratch(home) as folder, replacing_folder(home.checks / request.name, INDEX) as docs:
        asked, answered = Path(folder) / "request.json", Path(folder) / "answer.json"
        asked.write_text(request.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "quality.expectations", str(asked), str(answered), str(docs)]
        # Its own words may hold values of rows, so they are kept from the terminal and the log.
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, cwd=PROJECT, env={**os.environ, "TMPDIR": folder}, capture_output=True, check=False
        )
        if done.returncode != 0 or not answered.exists():
            raise CheckError(
                f"The checks of the {request.name} gave no answer (exit code {done.returncode}), so nothing is known "
                f"of it. Try again: `ruam check {request.name}`."
            )
        outcomes = ANSWER.validate_json(answered.read_bytes())
        if not (docs / INDEX).exists():
            raise CheckError(f"The checks of the {request.name} wrote no pages. Try: `ruam check {request.name}`.")
    if [(one.table, one.check) for one in outcomes] != _asked(request.suites):
        raise CheckError(f"The checks of the {request.name} answered something else than was asked.")
    return outcomes


def _asked(suites: Iterable[Suite]) -> list[tuple[str, Check]]:
    return [(suite.table, check) for suite in suites for check in suite.checks]


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
