"""Write the documentation of a data home, or of the project alone where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb

from ruam.build import built_project, project_digest
from ruam.docs.facts import Facts, File
from ruam.docs.lineage import Column, lineage_of
from ruam.docs.project import Project, column_types, dbt_page
from ruam.docs.site import LINEAGE, Edition, Published, files
from ruam.errors import BusyError
from ruam.files import replacing_folder
from ruam.home import DataHome
from ruam.publish import current

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
) -> Written:
    """Write the site into `out`, whole or not at all; an earlier one there is replaced in one step.

    Raises `UsageError` when something else lies there.
    """
    facts = Facts(project.manifest, lineage_of(project.manifest, project.source_columns), standard, figures)
    types = column_types(home.warehouse)
    edition = _edition(home, has_warehouse=types is not None)
    n_pages = 0
    with replacing_folder(out, LINEAGE) as folder:
        for path, content in files(facts, edition, dbt_page(project, types)):
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
    if pointer is None or not (home.serving / pointer["file"]).is_file():
        return None
    with duckdb.connect(str(home.serving / pointer["file"]), read_only=True) as connection:
        row = connection.execute("select cast(data_to as date) from publication").fetchone()
    if row is None or row[0] is None:
        return None
    at = datetime.fromisoformat(pointer["published_at"]).replace(tzinfo=UTC).astimezone(THAILAND)
    return Published(pointer["run_id"], at.date(), row[0])
