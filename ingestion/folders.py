"""Folders that are deliveries: FHIR resources as a bulk client or Synthea leaves them, packed on their way in."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

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


def is_delivery(path: Path) -> bool:
    """Whether a folder is a delivery of FHIR, by its name (`FHIR_<HOSPCODE>_<time>`)."""
    if not path.is_dir():
        return False
    try:
        return sender_of(f"{path.name}.zip").feed == FHIR
    except DeliveryRejectedError:
        return False


@contextmanager
def as_zip(path: Path, beside: Path) -> Iterator[Path]:
    """The zip that `path` is, or becomes for as long as the context lasts."""
    if path.is_dir():
        with packed(path, beside) as target:
            yield target
    else:
        yield path


@contextmanager
def packed(folder: Path, beside: Path) -> Iterator[Path]:
    """A zip of the folder's NDJSON and Bundles for as long as the context lasts, made in a private folder in `beside`.

    The same content gives the same bytes: names are sorted, times fixed. Bundles come one a line into members
    `Bundle.<n>.ndjson`: their own names may be the patients', and there is one for each patient. Links are not
    followed; files of other kinds stay out.
    """
    beside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".packing-", dir=beside) as private:
        target = Path(private) / f"{folder.name}.zip"
        files = sorted(
            (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()),
            key=lambda path: path.relative_to(folder).as_posix(),
        )
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                if path.name.lower().endswith(_PACKED):
                    with path.open("rb") as source, _member(archive, path.relative_to(folder).as_posix()) as member:
                        _copy(source, member)
            _pack_bundles(archive, [path for path in files if path.name.lower().endswith(_BUNDLE)])
        yield target


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.compress_type = zipfile.ZIP_STORED if name.lower().endswith(".gz") else zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _copy(source: IO[bytes], member: IO[bytes]) -> None:
    while piece := source.read(PIECE_BYTES):
        member.write(piece)


def _pack_bundles(archive: zipfile.ZipFile, files: list[Path]) -> None:
    ignored = load_feeds()[FHIR].ignored
    with ExitStack() as open_member:
        member: IO[bytes] | None = None
        number = size = 0
        for path in (path for path in files if path.stem.upper() not in ignored):
            if member is None or size >= BUNDLES_BYTES:
                open_member.close()
                member = open_member.enter_context(_member(archive, f"Bundle.{number:03d}.ndjson"))
                number, size = number + 1, 0
            with path.open("rb") as source:
                for piece in one_line(iter(lambda: source.read(PIECE_BYTES), b"")):
                    member.write(piece)
                    size += len(piece)
