"""Memory does not grow with a delivery of another feed. In the suite it is small; `make proof` sends hundreds of MB."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from ruam.settings import Settings
from tests.ingestion.f16_zips import f16_name, f16_row, layout
from tests.ingestion.fhir_sets import ICD10, SNOMED, condition, encounter, fhir_name
from tests.ingestion.odd_zips import cells
from tests.ingestion.reading import landed
from tests.measured import measured

IS_LARGE = os.environ.get("RUAM_TEST_COUNTRY") == "demo"
MAX_RESIDENT = 512 << 20
PADDING = 700
"""Bytes of display text in each resource, as real exports have."""

CHILD = """
import sys
from pathlib import Path
from ingestion.job import ingest
from ruam.settings import Settings
report = ingest(Settings(home=Path(sys.argv[1]), workers=1), [Path(sys.argv[2])])
print(report.outcomes[0].outcome)
"""

Members = Iterator[tuple[str, Iterator[bytes]]]


@dataclass(frozen=True)
class Kind:
    """Members of a delivery of `n` visits, and megabytes of them in the suite and in the proof."""

    zip_name: str
    members: Callable[[int], Members]
    visit_bytes: int
    small: int
    large: int


VISIT = json.dumps(encounter("visit-@", "patient-@"))
DIAGNOSIS = json.dumps(condition("diagnosis-@", "patient-@", "visit-@", (SNOMED, "43878008"), (ICD10, "J02.0")))


def resources(n: int, *, padding: int = 0) -> Members:
    """A member of each type."""
    noise = "".join(chr(ord("a") + (at * at * 31 + at // 7) % 26) for at in range(PADDING * 5))

    def lines(template: str) -> Iterator[bytes]:
        for number in range(n):
            at = number * 13 % (PADDING * 4)
            note = f', "text": {{"div": "{number}{noise[at : at + padding]}"}}}}\n' if padding else "}\n"
            yield (template.replace("@", str(number))[:-1] + note).encode()

    yield "Encounter.000.ndjson", lines(VISIT)
    yield "Condition.000.ndjson", lines(DIAGNOSIS)


def bundles(n: int) -> Members:
    def documents() -> Iterator[bytes]:
        for first in range(0, n, 100):
            entries = [
                f'{{"resource": {template.replace("@", str(number))}}}'
                for number in range(first, min(first + 100, n))
                for template in (VISIT, DIAGNOSIS)
            ]
            yield f'{{"resourceType": "Bundle", "entry": [{", ".join(entries)}]}}\n'.encode()

    yield "Bundle.000.ndjson", documents()


TABLES = ("INS", "OPD", "ODX")


def f16(n: int) -> Members:
    def rows(table: str) -> Iterator[bytes]:
        order = layout(table)
        template = cells(f16_row(table, SEQ="visit-@", HN="@"), order)
        yield ("|".join(order) + "\r\n").encode()
        for number in range(n):
            yield f"{template.replace('@', str(number))}\r\n".encode()

    for table in TABLES:
        yield f"{table}.txt", rows(table)


def f16_dbf(n: int) -> Members:
    """dBase III by hand: a library that writes so many rows takes hours."""

    def records(table: str) -> Iterator[bytes]:
        row = f16_row(table, SEQ="visit-@", HN="@")
        widths = {name: len(value) + 8 * ("@" in value) for name, value in row.items()}
        columns = b"".join(
            name.encode().ljust(11, b"\0") + b"C\0\0\0\0" + bytes([width]) + bytes(15) for name, width in widths.items()
        )
        size = 1 + sum(widths.values())
        header = b"\x03\x7c\x01\x01" + n.to_bytes(4, "little")
        header += (33 + len(columns)).to_bytes(2, "little") + size.to_bytes(2, "little")
        yield header.ljust(32, b"\0") + columns + b"\r"
        for number in range(n):
            yield b" " + b"".join(row[name].replace("@", str(number)).ljust(widths[name]).encode() for name in widths)

    for table in TABLES:
        yield f"{table}.dbf", records(table)


KINDS = {
    "resources with much text": Kind(fhir_name(), lambda n: resources(n, padding=PADDING), 2200, 24, 300),
    "dense resources": Kind(fhir_name(), resources, 640, 8, 300),
    "Bundles": Kind(fhir_name(), bundles, 670, 8, 300),
    "16 files as text": Kind(f16_name().removesuffix(".zip"), f16, 210, 8, 200),
    "16 files as DBF": Kind(f16_name().removesuffix(".zip"), f16_dbf, 190, 8, 200),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_of_any_size_is_taken_in_half_a_gigabyte_of_memory(
    settings: Settings, tmp_path: Path, kind: str
) -> None:
    one = KINDS[kind]
    n_visits = ((one.large if IS_LARGE else one.small) << 20) // one.visit_bytes
    path = tmp_path / f"{one.zip_name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, pieces in one.members(n_visits):
            with archive.open(name, "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
    done, peak = measured([sys.executable, "-c", CHILD, settings.home, path])
    assert (done.returncode, done.stdout) == (0, "accepted"), done.stderr
    assert peak <= MAX_RESIDENT, f"{peak >> 20} MiB"
    found = landed(settings, "DIAGNOSIS_OPD")
    assert (found.height, found.select(pl.col("seq").n_unique()).item()) == (n_visits, n_visits)
    assert not list(settings.data_home.spill.iterdir())
