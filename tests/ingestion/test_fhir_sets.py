"""Published bulk sets load whole: none of their resources is lost, whichever software wrote them.

Without more, a set of their shape that is invented here. `make proof FHIR_SETS=<folder>` takes each folder in it that
holds NDJSON, such as those of SMART Health IT's sample-bulk-fhir-datasets or what Synthea's bulk export leaves. Of such
a set all is care that was given: a status that says otherwise is counted as `docs/feeds-fhir.md` has it, and not here.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from ruam.settings import Settings
from tests.ingestion.fhir_sets import encounter, fhir_name, ndjson, sample_set
from tests.ingestion.reading import assert_balanced, landed, records, take_in

GIVEN = os.environ.get("RUAM_TEST_FHIR_SETS")
FOLDERS: list[Path | None] = [*sorted({path.parent for path in Path(GIVEN).rglob("*.ndjson*")})] if GIVEN else [None]
if not FOLDERS:
    raise FileNotFoundError(f"No folder in {GIVEN} holds NDJSON: unpack the sets there.")
OUTPATIENT, INPATIENT = {"AMB", "EMER", "FLD", "HH", "VR"}, {"IMP", "ACUTE", "NONAC", "OBSENC", "SS"}


def invented(folder: Path) -> Path:
    """As the published sets lie: a member of many for each type, a visit of long ago, a stay, a log beside them."""
    resources = sample_set(40)
    someone = next(one["id"] for one in resources if one["resourceType"] == "Patient")
    long_ago = {"start": "1949-07-24T00:42:37-04:00", "end": "1949-07-24T00:57:37-04:00"}
    stay = {"start": "1988-03-15T21:06:16-05:00", "end": "1988-03-21T07:48:16-05:00"}
    resources += [encounter("e-old", someone, period=long_ago), encounter("e-stay", someone, "IMP", period=stay)]
    folder.mkdir()
    (folder / "log.ndjson").write_text('{"eventId": "kickoff"}\n')
    for kind in {one["resourceType"] for one in resources}:
        found = [one for one in resources if one["resourceType"] == kind]
        for number, part in enumerate((found[::2], found[1::2])):
            (folder / f"{kind}.{number:03}.ndjson").write_text(ndjson(part))
    return folder


def resources_of(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.ndjson*")):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found += [json.loads(line) for line in text.splitlines() if line.strip()]
    return [one for one in found if "resourceType" in one]


@pytest.mark.parametrize("given", FOLDERS, ids=lambda one: one.name if one else "invented")
def test_of_a_published_set_no_resource_is_lost(settings: Settings, tmp_path: Path, given: Path | None) -> None:
    folder = tmp_path / "drop" / fhir_name()
    folder.parent.mkdir()
    shutil.copytree(given or invented(tmp_path / "set"), folder)
    resources: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in resources_of(folder):
        resources[one["resourceType"]].append(one)
    (outcome,) = take_in(settings, folder.parent).outcomes
    assert outcome.outcome == "accepted", (outcome, records(settings, "receipt_rules"))
    assert_balanced(settings)

    def rows(*files: str) -> int:
        return sum(landed(settings, file).height for file in files)

    kept = [one for one in resources["Encounter"] if one["status"] not in ("planned", "cancelled")]
    classes = Counter(one["class"]["code"] for one in kept)
    assert rows("PERSON") == len(resources["Patient"]) > 0
    assert rows("SERVICE") == sum(n for code, n in classes.items() if code in OUTPATIENT)
    assert rows("ADMISSION") == sum(n for code, n in classes.items() if code in INPATIENT)
    # What hangs on an encounter that counts counts too, each once; an order only where nothing was dispensed instead.
    ids = {one["id"] for one in kept if one["class"]["code"] in OUTPATIENT | INPATIENT}
    given_at = {_id_of(one.get("context")) for one in resources["MedicationDispense"]}
    held = {kind: [one for one in found if _encounter_of(one) in ids] for kind, found in resources.items()}
    diagnoses = [one for one in held["Condition"] if not {"problem-list-item", "health-concern"} & _categories(one)]
    orders = [one for one in held["MedicationRequest"] if _encounter_of(one) not in given_at]
    assert rows("DIAGNOSIS_OPD", "DIAGNOSIS_IPD") == len(diagnoses)
    assert rows("PROCEDURE_OPD", "PROCEDURE_IPD") == len(held["Procedure"])
    assert rows("DRUG_OPD", "DRUG_IPD") == len(orders) + len(held["MedicationDispense"])


def _id_of(reference: dict[str, str] | None) -> str:
    return reference["reference"].rpartition("/")[2] if reference else ""


def _encounter_of(one: dict[str, Any]) -> str:
    return _id_of(one.get("encounter") or one.get("context"))


def _categories(one: dict[str, Any]) -> set[str]:
    return {coding["code"] for category in one.get("category", []) for coding in category.get("coding", [])}
