"""Write the documentation of a data home, or of the project alone where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from ruam.benchmarks import HISTORY, history
from ruam.build import built_project, column_types, project_digest
from ruam.docs.facts import Facts, File
from ruam.docs.lineage import Column, lineage_of
from ruam.docs.project import Project, dbt_page
from ruam.docs.site import LINEAGE, Edition, Published, files
from ruam.errors import BusyError
from ruam.files import replacing_folder
from ruam.home import DataHome
from ruam.publish import current, published_to

THAILAND = timezone(timedelta(hours=7))


@dataclass(frozen=True)
class Written:
    n_measures: int
    n_pages: int
    missing: tuple[str, ...]
    """Keys of `Edition.missing`."""


def write_docs(
    home: DataHome,
    project: Project,
    standard: tuple[File, ...],
    figures: Callable[[str], tuple[Column, ...]],
    out: Path,
    benchmarks: Path = HISTORY,
) -> Written:
    """Write the site into `out`, whole or not at all; an earlier one there is replaced in one step.

    `benchmarks` is the folder of their history.

    Raises `UsageError` when something else lies there.
    """
    facts = Facts(project.manifest, lineage_of(project.manifest, project.source_columns), standard, figures)
    types = column_types(home)
    edition = _edition(home, has_warehouse=types is not None)
    n_pages = 0
    with replacing_folder(out, LINEAGE) as folder:
        for path, content in files(facts, edition, dbt_page(project, types), history(benchmarks)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            n_pages += path.endswith(".html")
    return Written(len(facts.measures), n_pages, edition.missing)


def _edition(home: DataHome, *, has_warehouse: bool) -> Edition:
    published = _published(home)
    missing = []
    if published is None:
        missing.append("nothing_published")
    if not has_warehouse:
        missing.append("no_warehouse")
    elif _built_from_others(home):
        missing.append("other_definitions")
    return Edition(published, tuple(missing))


def _built_from_others(home: DataHome) -> bool:
    try:
        return built_project(home) != project_digest()
    except BusyError:
        return False


def _published(home: DataHome) -> Published | None:
    pointer = current(home)
    last_day = published_to(home)
    if pointer is None or last_day is None:
        return None
    at = datetime.fromisoformat(pointer["published_at"]).replace(tzinfo=UTC).astimezone(THAILAND)
    return Published(pointer["run_id"], at.date(), last_day)
