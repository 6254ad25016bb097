"""Sealed intake: what ingestion learns of people on its way to the vault, one sealed Parquet for each batch.

A file counts when its batch is committed, as the batch's rows do; it is complete and in place before that. What came to
nothing is swept. Only the vault reads it (`identity.vault`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.interchange import CompatLevel

from identity.keys import keys_of, load_key
from identity.sealing import Sealed, Sealer, SealKey
from ruam.faults import point
from ruam.files import sync_file, sync_folder
from ruam.home import DataHome

RECORD: dict[str, pl.DataType] = {
    "hospcode": pl.String(),
    "pid": pl.String(),
    "cid": pl.String(),
    "cid_class": pl.String(),
    "linkage_pseudonym": pl.String(),
    "prename": pl.String(),
    "given": pl.String(),
    "surname": pl.String(),
    "birth_date": pl.Date(),
    "sex": pl.String(),
    "nation": pl.String(),
    "labor": pl.String(),
    "mother_cid": pl.String(),
    "mother_linkage_pseudonym": pl.String(),
    "telephone": pl.String(),
    "mobile": pl.String(),
    "passport": pl.String(),
    "hn": pl.String(),
    "d_update": pl.Datetime("us"),
    "delivery_id": pl.String(),
    "sent_at": pl.Datetime("us"),
    "source_line": pl.Int32(),
}
"""A person as one row of PERSON tells: numbers normalised (`ingestion` does it), the linkage pseudonyms
HMAC(k1, number) of usable ones as 32 hex digits, all else as sent."""

KIND = "kind"
PERSON, NUMBER, WITHDRAWAL = "person", "number", "withdrawal"
"""What a row of the file is: a record; a `p1` (16 bytes) that a landed pseudonym was made from; a (hospcode, pid) that
its sender withdrew as of `d_update`."""

SCHEMA: dict[str, pl.DataType] = {KIND: pl.String(), **RECORD, "p1": pl.Binary()}

_INCOMING = ".incoming-"
_SUFFIX = ".sealed"
_MOST_NUMBERS = 200_000
"""Numbers of one batch that are held to be written once each; beyond that some may be written twice."""


@dataclass(frozen=True)
class Intake:
    """The folder `vault/intake`, and the key of the vault."""

    folder: Path
    key: SealKey

    @classmethod
    def of(cls, home: DataHome) -> Intake:
        """Raises `SetupError` when the key is not there as it must be."""
        return cls(home.vault / "intake", SealKey("vault", load_key(keys_of(home), "vault")))

    def sealed(self, region: str, batch: str) -> Sealed:
        return Sealed(self._region(region) / f"{batch}{_SUFFIX}", self.key, f"intake {region}/{batch}")

    def clear(self) -> None:
        """Remove all files. The caller holds every region."""
        for path in self.folder.glob(f"region=*/*{_SUFFIX}"):
            path.unlink()

    def move(self, other: Intake) -> None:
        """Take over all files of another, which has the same key. Safe to repeat."""
        for region, batch in list(other.waiting()):
            target = self.sealed(region, batch).path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            other.sealed(region, batch).path.rename(target)
            sync_folder(target.parent)

    def waiting(self) -> Iterator[tuple[str, str]]:
        """Region and batch of each file that is there, oldest batch first."""
        paths = self.folder.glob(f"region=*/[!.]*{_SUFFIX}")
        yield from sorted((path.parent.name.removeprefix("region="), path.stem) for path in paths)

    def is_empty(self, region: str) -> bool:
        return next(self._region(region).glob(f"*{_SUFFIX}"), None) is None

    def sweep(self, region: str, committed: Collection[str]) -> None:
        """Remove what belongs to no committed batch. The caller holds the region, so that nobody writes there."""
        for path in self._region(region).glob(f"*{_SUFFIX}"):
            if path.name.startswith(_INCOMING) or path.stem not in committed:
                path.unlink()

    def writer(self, region: str, batch: str) -> IntakeWriter:
        return IntakeWriter(self.sealed(region, batch))

    def _region(self, region: str) -> Path:
        return self.folder / f"region={region}"


class IntakeWriter:
    """Writes the file of one batch. Use as a context manager; without `seal` nothing is left."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed
        self._staging = sealed.path.with_name(f"{_INCOMING}{sealed.path.name}")
        self._numbers: set[str] = set()
        self._file: BinaryIO | None = None
        self._sealer: Sealer | None = None
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._staging.unlink(missing_ok=True)

    def people(self, records: pl.DataFrame) -> None:
        """Add records (`RECORD`)."""
        self._write(PERSON, records)

    def numbers(self, p1: pl.Series) -> None:
        """Add linkage pseudonyms, in hex; nulls and repetitions are left out."""
        self._numbers.update(p1.drop_nulls().unique())
        if len(self._numbers) >= _MOST_NUMBERS:
            self._flush_numbers()

    def withdrawals(self, keys: pl.DataFrame) -> None:
        """Add (hospcode, pid, d_update)."""
        self._write(WITHDRAWAL, keys)

    def seal(self) -> None:
        """Make the file complete and durable, then put it in place. Does nothing when there was nothing to keep."""
        self._flush_numbers()
        if self._writer is None or self._sealer is None or self._file is None:
            return
        self._writer.close()
        self._sealer.finish(self._sealed.label.encode())
        self._file.close()
        point("intake.written")
        sync_file(self._staging)
        point("intake.synced")
        self._staging.rename(self._sealed.path)
        point("intake.renamed")
        sync_folder(self._sealed.path.parent)

    def _flush_numbers(self) -> None:
        if self._numbers:
            found = pl.DataFrame({"p1": list(self._numbers)}, schema={"p1": pl.String})
            self._write(NUMBER, found.select(pl.col("p1").str.decode("hex")))
            self._numbers.clear()

    def _write(self, kind: str, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        rows = rows.with_columns(pl.lit(kind).alias(KIND))
        absent = (pl.lit(None, dtype).alias(name) for name, dtype in SCHEMA.items() if name not in rows.columns)
        table = (
            rows.with_columns(absent)
            .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
            .to_arrow(compat_level=CompatLevel.newest())
        )
        self._opened(table.schema).write_table(table)

    def _opened(self, schema: pa.Schema) -> pq.ParquetWriter:
        if self._writer is None:
            self._sealed.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._staging.open("wb")
            self._sealer = Sealer(self._file, self._sealed.key)
            self._writer = pq.ParquetWriter(
                self._sealer, schema, compression="zstd", write_statistics=False, store_schema=False
            )
        return self._writer
