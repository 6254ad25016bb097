"""Memory does not grow with a delivery of resources. In the suite it is small; `make proof` sends 300 MB."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path

import polars as pl

from ruam.settings import Settings
from tests.ingestion.fhir_sets import ICD10, SNOMED, condition, encounter, fhir_name
from tests.ingestion.reading import landed
from tests.measured import measured

MEGABYTES = 300 if os.environ.get("RUAM_TEST_COUNTRY") == "demo" else 24
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


def big_zip(path: Path, n_visits: int) -> Path:
    """`n_visits` encounters and a condition of each, in members of one type, with text that hardly repeats."""
    noise = "".join(chr(ord("a") + (n * n * 31 + n // 7) % 26) for n in range(PADDING * 5))
    visit = json.dumps(encounter("visit-@", "patient-@"))
    diagnosis = json.dumps(condition("diagnosis-@", "patient-@", "visit-@", (SNOMED, "43878008"), (ICD10, "J02.0")))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, template in (("Encounter", visit), ("Condition", diagnosis)):
            with archive.open(f"{name}.000.ndjson", "w", force_zip64=True) as member:
                for number in range(n_visits):
                    at = number * 13 % (PADDING * 4)
                    note = f', "text": {{"div": "{number}{noise[at : at + PADDING]}"}}}}\n'
                    member.write((template.replace("@", str(number))[:-1] + note).encode())
    return path


def test_resources_of_any_number_are_taken_in_half_a_gigabyte_of_memory(settings: Settings, tmp_path: Path) -> None:
    n_visits = (MEGABYTES << 20) // 2200
    path = big_zip(tmp_path / f"{fhir_name()}.zip", n_visits)
    done, peak = measured([sys.executable, "-c", CHILD, settings.home, path])
    assert (done.returncode, done.stdout) == (0, "accepted"), done.stderr
    assert peak <= MAX_RESIDENT, f"{peak >> 20} MiB"
    found = landed(settings, "DIAGNOSIS_OPD")
    assert (found.height, found.select(pl.col("seq").n_unique()).item()) == (n_visits, n_visits)
