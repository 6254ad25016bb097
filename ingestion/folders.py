"""Folders that are deliveries: FHIR resources as a bulk client or Synthea leaves them, packed on their way in."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestion.delivery import DeliveryRejectedError, sender_of
from ingestion.feed import load_feeds
from ingestion.ndjson import one_line

FHIR = "fhir"
"""The feed whose deliveries may be folders."""

PIECE_BYTES = 1 << 20
BUNDLES_BYTES = 256 << 20
"""A member of packed Bundles is closed at this size."""

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_PACKED = (".ndjson", ".ndjson.gz")
_BUNDLE = ".json"


@dataclass(frozen=True)
class State:
    """What tells whether a folder's content is as it was: bytes of its files, and a digest of their names and times."""

    size: int
    version: str
    modified: float


def is_delivery(folder: Path) -> bool:
    """Whether a folder is a delivery of FHIR: by its name (`FHIR_<HOSPCODE>_<time>`), and by what lies in it.

    Raises `OSError` when it cannot be listed.
    """
    try:
        return sender_of(f"{folder.name}.zip").feed == FHIR and bool(_files(folder))
    except DeliveryRejectedError:
        return False


def state(folder: Path) -> State:
    """Raises `OSError` when a file cannot be looked at."""
    files = [(path.relative_to(folder).as_posix(), path.stat()) for path in _files(folder)]
    told = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in files]
    return State(
        sum(stat.st_size for _, stat in files),
        hashlib.sha256(repr(told).encode()).hexdigest(),
        max((stat.st_mtime for _, stat in files), default=0.0),
    )


def packed(folder: Path) -> Iterator[bytes]:
    """A zip of the folder's NDJSON and Bundles, as it is written.

    The same content gives the same bytes: names are sorted, times fixed. Bundles come one a line into members
    `Bundle.<n>.ndjson`: their own names may be the patients', and there is one for each patient. Links are not
    followed; files of other kinds stay out. Raises `OSError` when a file cannot be read.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, pieces in _members(folder):
            info = zipfile.ZipInfo(name, _FIXED_TIME)
            info.compress_type = zipfile.ZIP_STORED if name.lower().endswith(".gz") else zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
                    yield from sink.taken()
            yield from sink.taken()
    yield from sink.taken()


class _Sink:
    """A file that is written and never kept."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> Iterator[bytes]:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        if whole:
            yield whole


def _files(folder: Path) -> list[Path]:
    """NDJSON and Bundles below the folder, in order of their names."""
    ignored = load_feeds()[FHIR].ignored
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and (path.name.lower().endswith(_PACKED) or (_is_bundle(path) and path.stem.upper() not in ignored))
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _is_bundle(path: Path) -> bool:
    return path.name.lower().endswith(_BUNDLE)


def _members(folder: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    files = _files(folder)
    for path in files:
        if not _is_bundle(path):
            yield path.relative_to(folder).as_posix(), _pieces(path)
    for number, paths in enumerate(_together([path for path in files if _is_bundle(path)])):
        yield f"Bundle.{number:03d}.ndjson", (piece for path in paths for piece in one_line(_pieces(path)))


def _together(paths: list[Path]) -> Iterator[list[Path]]:
    """Bundles that go into one member."""
    member, size = list[Path](), 0
    for path in paths:
        member.append(path)
        size += path.stat().st_size
        if size >= BUNDLES_BYTES:
            yield member
            member, size = [], 0
    if member:
        yield member


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while piece := source.read(PIECE_BYTES):
            yield piece
