"""Compaction: many small batches of a region become few large ones, and a reader sees each row once throughout.

Why it is done as it is: docs/decisions/0008-compaction.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.landing import BatchWriter, compacted_id, region_locked, retire, utc_now
from ruam.errors import BusyError, RuamError
from ruam.files import storage_errors
from ruam.landing import committed_batches, holds, is_schema, region_of
from ruam.settings import Settings

ROW_GROUP = 1 << 17
"""Rows of a row group; small batches lie together in one, so that a reader skips what it does not want in few steps."""


@dataclass(frozen=True)
class Compacted:
    """What became of one region: folders before and after, and whether none waits for readers to be removed."""

    region: str
    n_before: int
    n_after: int
    is_clean: bool


def compact(settings: Settings) -> list[Compacted]:
    """Compact every region that nobody else holds.

    Raises `BusyError` when some were held, after the others are done, and `StorageError` when the disk is full, fails
    or may not be written: what was read so far then stays as it was.
    """
    home = settings.data_home
    home.require()
    done, busy = [], []
    for region in sorted({region_of(folder) for folder in committed_batches(home.landing)}):
        try:
            with storage_errors(f"Compacting region {region}", home.landing), region_locked(home.landing, region):
                done.append(compact_region(home.landing, region, settings.compact_bytes))
        except BusyError:
            busy.append(region)
    if busy:
        raise BusyError(f"Region {', '.join(busy)} of {home.root} is in use; the others are compacted. Try again.")
    return done


def compact_region(landing: Path, region: str, target_bytes: int, more_than: int = 1) -> Compacted:
    """Merge the folders of a region that are small, if there are more than `more_than`, into ones of `target_bytes`.

    The caller holds the region. Nothing of a row changes, least of all its `batch`.
    """
    folders = _folders(landing, region)
    if len(folders) > more_than:
        small = [folder for folder in folders if 2 * _size(folder) < target_bytes]
        for group in _groups(small, target_bytes) if len(small) > more_than else ():
            if len(group) > 1:
                _merge(landing, region, group)
    return Compacted(region, len(folders), len(_folders(landing, region)), retire(landing, region))


def _folders(landing: Path, region: str) -> list[Path]:
    """Folders of a region that count; the schema batch is no batch of rows."""
    return [
        folder for folder in committed_batches(landing, region) if not any(is_schema(batch) for batch in holds(folder))
    ]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def _groups(folders: list[Path], target_bytes: int) -> Iterator[list[Path]]:
    """Folders that become one: until the target is reached, and as long as their columns have the same types."""
    group: list[Path] = []
    size = 0
    schemas: dict[str, pa.Schema] = {}
    for folder in folders:
        joined = _joined(schemas, folder)
        if group and (size >= target_bytes or joined is None):
            yield group
            group, size, joined = [], 0, _joined({}, folder)
        group.append(folder)
        size += _size(folder)
        schemas = joined or {}
    yield group


def _joined(schemas: dict[str, pa.Schema], folder: Path) -> dict[str, pa.Schema] | None:
    """`schemas` by table with those of a folder, or None when a column has two types."""
    joined = dict(schemas)
    for path in sorted(folder.glob("*.parquet")):
        schema = _open(path).schema_arrow.remove_metadata()
        try:
            joined[path.stem] = pa.unify_schemas([joined[path.stem], schema]) if path.stem in joined else schema
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return None
    return joined


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise RuamError(
            f"{path} cannot be read ({error}); nothing was compacted with it. Run `ruam landing check`."
        ) from error


def _merge(landing: Path, region: str, folders: list[Path]) -> None:
    """Write one folder that holds what `folders` hold, table by table; its rename hides theirs."""
    schemas: dict[str, pa.Schema] = {}
    for folder in folders:
        schemas = _joined(schemas, folder) or {}
    with BatchWriter(landing, region, compacted_id(utc_now())) as writer:
        for table, schema in sorted(schemas.items()):
            parts = [path for folder in folders if (path := folder / f"{table}.parquet").exists()]
            for rows in _row_groups(parts, schema):
                writer.write(table, rows)
        writer.commit(instead_of=folders)


def _row_groups(parts: list[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of all parts in their order, in groups of `ROW_GROUP` or a little more, one at a time in memory."""
    waiting: list[pa.Table] = []
    n_waiting = n_read = n_written = 0
    for part in parts:
        file = _open(part)
        n_read += file.metadata.num_rows
        for rows in file.iter_batches(ROW_GROUP):
            table = pa.Table.from_batches([rows])
            absent = [field for field in schema if field.name not in table.column_names]
            for field in absent:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
            waiting.append(table.select(schema.names).cast(schema))
            n_waiting += table.num_rows
            if n_waiting >= ROW_GROUP:
                n_written += n_waiting
                yield pa.concat_tables(waiting)
                waiting, n_waiting = [], 0
    # An empty table is written too: its columns are part of what was landed.
    yield pa.concat_tables(waiting) if waiting else schema.empty_table()
    if n_written + n_waiting != n_read:
        raise RuntimeError(f"{n_read} rows of {len(parts)} files were to be merged, {n_written + n_waiting} were")
