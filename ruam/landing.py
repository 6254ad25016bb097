"""Where the landing's batches lie, and which folders count; ingestion writes them, the build and others read them.

A folder `region=NN/batch=<id>` holds one batch as it was landed, or all rows of several that were compacted into it.
`committed_batches` alone says which folders count; whoever reads what lies in them does so within `reading`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruam.files import shared

BATCH = "batch"
"""Column of every table: the id of the batch in which a row was landed, whatever folder it lies in now."""

PREFIX = "batch="
COMPACTED = "compacted-"
SCHEMA = "schema-"
CONTENTS = "compacted.json"
READERS = ".readers"


def region_folder(landing: Path, region: str) -> Path:
    return landing / f"region={region}"


def region_of(folder: Path) -> str:
    """Region of a batch's folder."""
    return folder.parent.name.removeprefix("region=")


def committed_batches(landing: Path, region: str | None = None) -> list[Path]:
    """Folders that make up the landing, or one region of it, by name: together they hold each landed row once.

    A compacted folder names the batches it holds, and from the moment it is there, the folders of those do not count.
    """
    with reading(landing, region) as folders:
        return folders


def committed_ids(landing: Path, region: str | None = None) -> frozenset[str]:
    """Ids of all batches that were committed in the landing or one region of it, whatever folders they lie in now."""
    with reading(landing, region) as folders:
        return frozenset[str]().union(*map(holds, folders))


@contextmanager
def reading(landing: Path, region: str | None = None) -> Iterator[list[Path]]:
    """The committed batches (`committed_batches`), none of which goes away until the block ends."""
    with shared(landing / READERS):
        folders = [folder for one in landing.glob(f"region={region or '*'}") for folder in _standing(one)]
        yield sorted(folders, key=lambda path: path.name)


def _standing(region: Path) -> list[Path]:
    """Folders of a region that no other one there has replaced."""
    folders = list(region.glob(f"{PREFIX}*"))
    replaced = {name for folder in folders for name in contents(folder)["replaces"]}
    return [folder for folder in folders if folder.name not in replaced]


def superseded(landing: Path, region: str) -> list[Path]:
    """Folders of a region that do not count any more."""
    folder = region_folder(landing, region)
    standing = set(_standing(folder))
    return sorted(found for found in folder.glob(f"{PREFIX}*") if found not in standing)


def holds(folder: Path) -> frozenset[str]:
    """Ids of the batches whose rows lie in a folder."""
    return frozenset(contents(folder)["batches"])


def contents(folder: Path) -> dict[str, list[str]]:
    """`batches`: ids of the batches whose rows lie in the folder; `replaces`: names of folders that it stands for."""
    name = folder.name.removeprefix(PREFIX)
    if not name.startswith(COMPACTED):
        return {"batches": [name], "replaces": []}
    told: dict[str, list[str]] = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    return told


def is_schema(batch: str) -> bool:
    """Whether an id is that of a schema batch, which holds columns and no rows."""
    return batch.startswith(SCHEMA)
