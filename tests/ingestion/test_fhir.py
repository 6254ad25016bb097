"""FHIR R4 becomes the standard's files: every shape that senders give it, and what no shape may bring in."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from identity.keys import load_keys
from identity.pseudonym import Pseudonymiser
from ingestion import mapping, parts
from ingestion import ndjson as reader
from ingestion.batch import Outcome
from ingestion.fetched import Fetched
from ingestion.places import ChangedError, look, place_of
from ingestion.quarantine import list_members, senders_inside
from ingestion.receipts import check, repair
from ruam.settings import Settings, ZipLimits
from tests.ingestion.fhir_sets import (
    ACT,
    AT,
    ICD10,
    ROLE,
    SNOMED,
    TERMS,
    TMT,
    Resource,
    bundle,
    coded,
    condition,
    coverage,
    dispense,
    encounter,
    fhir_name,
    members,
    ndjson,
    observation,
    organization,
    patient,
    procedure,
    request,
    resource,
    sample_set,
    thai_set,
)
from tests.ingestion.nodes import staging
from tests.ingestion.odd_zips import SENDER, cid, make_zip
from tests.ingestion.reading import assert_balanced, flags, landed, records, take_in
from tests.ingestion.test_privacy import everything, forms

FILES = [
    "PERSON", "SERVICE", "ADMISSION", "DIAGNOSIS_OPD", "DIAGNOSIS_IPD", "PROCEDURE_OPD", "PROCEDURE_IPD", "DRUG_OPD",
    "DRUG_IPD", "LABFU", "CARD", "DEATH",
]  # fmt: skip
ARRIVAL = ["delivery_id", "source_line"]
WRONG = coded(("v", "entered-in-error"))


def send(settings: Settings, folder: Path, *resources: Resource, name: str = fhir_name()) -> Outcome:
    """Take in a delivery of `resources`, one member for each type."""
    (outcome,) = take_in(settings, make_zip(folder / f"{name}.zip", members(resources))).outcomes
    assert_balanced(settings)
    return outcome


def stand_in(settings: Settings, id_: str) -> str:
    return Pseudonymiser(load_keys(settings.data_home.keys)).local_number(id_)


def content(settings: Settings) -> dict[str, pl.DataFrame]:
    """What landed, but for where it came from."""
    return {file: landed(settings, file).drop(ARRIVAL).sort(pl.all()) for file in FILES}


def rules(settings: Settings) -> dict[str, int]:
    """Rows by rule, without the warning for what the resources do not hold."""
    found = records(settings, "receipt_rules").filter(pl.col("rule") != "missing_required")
    return dict(found.group_by("rule").agg(pl.col("n_rows").sum()).iter_rows())


def out_of_scope(settings: Settings) -> int:
    return int(records(settings, "receipt_files")["n_out_of_scope"].sum())


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_visit_of_thai_resources_becomes_the_files_of_the_standard(settings: Settings, tmp_path: Path) -> None:
    assert send(settings, tmp_path, *thai_set()).outcome == "accepted"
    pid, seq, an = (stand_in(settings, id_) for id_ in ("p-1", "e-1", "e-3"))

    person = landed(settings, "PERSON").row(0, named=True)
    assert (person["hospcode"], person["pid"], person["cid_class"]) == (SENDER, pid, "valid")
    assert (person["sex"], str(person["birth_month"]), person["mstatus"], person["nation"]) == (
        "2",
        "1980-02-01",
        "2",
        "099",
    )
    assert str(person["d_update"]) == "2024-05-02 08:30:00"

    visits = landed(settings, "SERVICE").select(
        "pid", "seq", "date_serv", "time_serv", "typein", "typeout", "hospcode9"
    )
    assert [tuple(map(str, row)) for row in visits.rows()] == [
        (pid, seq, "2024-05-01", "083000", "None", "1", f"EA00{SENDER}"),
        (pid, stand_in(settings, "e-2"), "2024-05-01", "083000", "5", "None", f"EA00{SENDER}"),
    ]
    stay = landed(settings, "ADMISSION").row(0, named=True)
    assert (stay["an"], stay["dischstatus"], stay["dischtype"]) == (an, "2", "1")
    assert (str(stay["datetime_admit"]), str(stay["datetime_disch"])) == ("2024-05-11 03:00:00", "2024-05-13 10:00:00")

    diagnoses = landed(settings, "DIAGNOSIS_OPD").select("seq", "diagcode", "diagtype").rows()
    assert diagnoses == [(seq, "J02.0", "1"), (seq, "E11.9", "2")]
    assert landed(settings, "DIAGNOSIS_IPD").select("an", "diagcode", "diagtype").rows() == [(an, "I10", None)]
    assert landed(settings, "PROCEDURE_OPD").select("seq", "procedcode").rows() == [(seq, "96.59")]
    operation = landed(settings, "PROCEDURE_IPD").row(0, named=True)
    assert (operation["an"], operation["procedcode"], str(operation["timestart"])) == (
        an,
        "45.13",
        "2024-05-01 08:30:00",
    )
    assert landed(settings, "DRUG_OPD").select("seq", "didstd", "amount").rows() == [(seq, "227162", 20)]
    assert landed(settings, "DRUG_IPD").select("an", "didstd", "typedrug").rows() == [(an, "227162", "1")]
    assert landed(settings, "LABFU").select("seq", "labtest", "labresult").rows() == [(seq, "2093-3", "200.5")]
    card = landed(settings, "CARD").row(0, named=True)
    assert (card["instype_new"], str(card["startdate"]), str(card["expiredate"])) == (
        "0100",
        "2024-01-01",
        "2024-12-31",
    )
    assert rules(settings) == {}


def test_the_public_samples_land_with_their_codes_kept_and_flagged(settings: Settings, tmp_path: Path) -> None:
    assert send(settings, tmp_path, *sample_set(3)).outcome == "accepted"
    assert {file: frame.height for file, frame in content(settings).items() if frame.height} == {
        "PERSON": 3, "SERVICE": 3, "DIAGNOSIS_OPD": 3, "PROCEDURE_OPD": 3, "DRUG_OPD": 3, "LABFU": 3, "DEATH": 3,
    }  # fmt: skip
    visit = landed(settings, "SERVICE").row(0, named=True)
    assert (str(visit["date_serv"]), visit["time_serv"], visit["d_update"]) == ("2020-03-21", "104659", None)
    assert landed(settings, "DIAGNOSIS_OPD")["diagcode"].to_list() == ["444814009"] * 3
    assert all("diagcode:not_icd10" in one for one in flags(landed(settings, "DIAGNOSIS_OPD")))
    assert rules(settings) == {"not_icd10": 3, "not_icd": 3, "not_tmt": 3}
    assert set(landed(settings, "PERSON")["discharge"]) == {"1"}
    assert set(landed(settings, "PERSON")["cid_class"]) == {"missing"}


def in_two(resources: list[Resource]) -> dict[str, str]:
    """Each type in two members, as a big export comes."""
    first, second = members(resources[::2], ".000"), members(resources[1::2], ".001")
    return first | second


SHAPES: dict[str, Callable[[list[Resource]], dict[str, str | bytes]]] = {
    "one member a type": lambda found: dict(members(found)),
    "names with a number, as Synthea's": lambda found: dict(members(found, ".1721218811633")),
    "in folders": lambda found: {f"export/1/{name}": text for name, text in members(found).items()},
    "several members a type": lambda found: dict(in_two(found)),
    "gzip": lambda found: {f"{name}.gz": gzip.compress(text.encode()) for name, text in members(found).items()},
    "reversed": lambda found: dict(reversed(members(found[::-1]).items())),
    "a transaction Bundle": lambda found: {"Somchai123_Jaidee456_0bee.json": bundle(found)},
    "a collection Bundle, gzip": lambda found: {"all.json.gz": gzip.compress(bundle(found, "collection").encode())},
    "Bundles on lines": lambda found: {"Bundle.000.ndjson": json.dumps(json.loads(bundle(found)))},
    "Bundles that refer to each other": lambda found: {"a.json": bundle(found[:9]), "b.json": bundle(found[9:])},
    "single resources": lambda found: {f"{n}.json": json.dumps(one, indent=1) for n, one in enumerate(found)},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("made", [thai_set, sample_set])
def test_every_shape_of_the_same_resources_lands_the_same_rows(
    settings: Settings, tmp_path: Path, shape: str, made: Callable[[], list[Resource]]
) -> None:
    send(settings, tmp_path, *made())
    expected = content(settings)
    other = Settings(home=shutil.copytree(settings.home, tmp_path / "other"))
    shutil.rmtree(other.home / "landing" / "region=01")
    (outcome,) = take_in(other, make_zip(tmp_path / "2" / f"{fhir_name()}.zip", SHAPES[shape](made()))).outcomes
    assert outcome.outcome == "accepted"
    assert_balanced(other)
    found = content(other)
    for file in FILES:
        assert found[file].equals(expected[file]), file


def write(folder: Path, texts: dict[str, str | bytes]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize("shape", ["several members a type", "gzip", "in folders", "Bundles that refer to each other"])
def test_a_folder_is_a_delivery_too_and_comes_as_the_same_one_again(
    settings: Settings, tmp_path: Path, shape: str
) -> None:
    along = {"log.ndjson": '{"eventId": "kickoff"}', "parameters.json": "{}", "README.txt": "x", ".hidden.ndjson": "{"}
    folder = write(tmp_path / "drop" / fhir_name(), SHAPES[shape](thai_set()) | along)
    (outcome,) = take_in(settings, tmp_path / "drop").outcomes
    assert (outcome.file_name, outcome.outcome, outcome.hospcode) == (folder.name, "accepted", SENDER)
    assert_balanced(settings)
    assert landed(settings, "SERVICE").height == 2
    again = shutil.copytree(
        folder, tmp_path / "elsewhere" / f"FHIR_{SENDER}_20240701000000", copy_function=shutil.copyfile
    )
    assert [one.outcome for one in take_in(settings, again, folder).outcomes] == ["duplicate"] * 2
    assert not list(settings.data_home.inbox.glob(".incoming-*"))


def test_a_folder_of_many_bundles_is_no_delivery_of_too_many_members(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / fhir_name()
    for number in range(150):
        write(folder, {f"Name{number}_Family{number}.json": bundle([patient(f"p-{number}", number)])})
    (outcome,) = take_in(settings, folder).outcomes
    assert (outcome.outcome, outcome.n_landed) == ("accepted", 150)
    assert landed(settings, "PERSON")["source_line"].to_list() == list(range(1, 151))
    assert set(records(settings, "receipt_files")["member"]) == {"1.ndjson"}, "by its place: a name may tell"


def test_a_folder_is_packed_again_only_when_a_file_in_it_changed(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "drop" / fhir_name(), dict(members(thai_set())))
    before = (folder / "Patient.ndjson").stat().st_mtime - 60
    for path in folder.iterdir():
        os.utime(path, (before, before))
    first, again = (look([place_of(tmp_path / "drop", settings)]).found for _ in range(2))
    assert [one.name for one in first] == [folder.name]
    assert first == again
    take_in(settings, tmp_path / "drop")
    with Fetched(settings.data_home.inbox) as fetched:
        assert fetched.delivery_id(first[0])
    (folder / "Patient.ndjson").write_text(ndjson([patient("p-1", 2)]), encoding="utf-8")
    (changed,) = look([place_of(tmp_path / "drop", settings)]).found
    assert changed != first[0]
    with pytest.raises(ChangedError):
        list(first[0].pieces())
    assert [one.outcome for one in take_in(settings, tmp_path / "drop").outcomes] == ["accepted"]


def test_a_folder_of_zips_is_no_delivery_whatever_its_name(settings: Settings, tmp_path: Path) -> None:
    make_zip(tmp_path / fhir_name() / f"{fhir_name()}.zip", members(thai_set()))
    (outcome,) = take_in(settings, tmp_path / fhir_name()).outcomes
    assert (outcome.file_name, outcome.outcome) == (f"{fhir_name()}.zip", "accepted")


def test_a_link_in_a_folder_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"Encounter.ndjson": ndjson([encounter("e", "p")])})
    folder = write(tmp_path / fhir_name(), {"Patient.ndjson": ndjson([patient("p", 1)])})
    (folder / "Encounter.ndjson").symlink_to(outside / "Encounter.ndjson")
    take_in(settings, folder)
    assert (landed(settings, "PERSON").height, landed(settings, "SERVICE").height) == (1, 0)


# ── what counts as care ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "file", "typein"),
    [
        ("AMB", "SERVICE", None),
        ("EMER", "SERVICE", "4"),
        ("VR", "SERVICE", "5"),
        ("HH", "SERVICE", None),
        ("FLD", "SERVICE", None),
        ("IMP", "ADMISSION", None),
        ("ACUTE", "ADMISSION", None),
        ("NONAC", "ADMISSION", None),
        ("OBSENC", "ADMISSION", None),
        ("SS", "ADMISSION", None),
    ],
)
def test_the_class_of_an_encounter_says_where_its_rows_go(
    settings: Settings, tmp_path: Path, kind: str, file: str, typein: str | None
) -> None:
    where = "OPD" if file == "SERVICE" else "IPD"
    send(
        settings,
        tmp_path,
        encounter("e", "p", kind),
        condition("c", "p", "e", (ICD10, "J00")),
        procedure("pr", "p", "e", (SNOMED, "1")),
        request("r", "p", "e", (TMT, "1")),
    )
    found = {name: frame.height for name, frame in content(settings).items() if frame.height}
    assert found == {file: 1, f"DIAGNOSIS_{where}": 1, f"PROCEDURE_{where}": 1, f"DRUG_{where}": 1}
    assert landed(settings, file)["typein"].to_list() == [typein]


def source(code: str) -> Resource:
    return {"hospitalization": {"admitSource": coded((f"{TERMS}/cs-thcc-admit-source", code))}}


@pytest.mark.parametrize(
    ("fields", "typein"),
    [
        (source("3"), "3"),
        (source("1") | {"appointment": [{"reference": "Appointment/1"}]}, "1"),
        ({"appointment": [{"reference": "Appointment/1"}]}, "2"),
        ({"class": {"system": ACT, "code": "VR"}} | source("3"), "5"),
    ],
)
def test_how_the_patient_came_is_taken_from_what_the_encounter_says(
    settings: Settings, tmp_path: Path, fields: Resource, typein: str
) -> None:
    send(settings, tmp_path, encounter("e", "p", **fields))
    assert landed(settings, "SERVICE")["typein"].to_list() == [typein]


@pytest.mark.parametrize(
    "left",
    [
        encounter("e", "p", status="planned"),
        encounter("e", "p", status="cancelled"),
        encounter("e", "p", "PRENC"),
        condition("c", "p", None, (ICD10, "J00")),
        condition("c", "p", "visit", (ICD10, "J00"), verificationStatus=coded(("v", "refuted"))),
        condition("c", "p", "visit", (ICD10, "J00"), category=[coded(("c", "problem-list-item"))]),
        procedure("pr", "p", "visit", (SNOMED, "1"), status="not-done"),
        dispense("d", "p", "visit", (TMT, "1"), status="declined"),
        request("r", "p", "visit", (TMT, "1"), intent="plan"),
        request("r", "p", "visit", (TMT, "1"), status="draft"),
        request("r", "p", "visit", (TMT, "1"), doNotPerform=True),
        observation("o", "p", "visit", "vital-signs"),
        observation("o", "p", "visit", "laboratory", status="cancelled"),
        coverage("cov", "p", ("x", "UCS"), status="draft"),
    ],
    ids=lambda one: f"{one['resourceType']}-{one.get('status', one.get('intent', ''))}",
)
def test_what_was_not_done_is_counted_as_out_of_scope(settings: Settings, tmp_path: Path, left: Resource) -> None:
    outcome = send(settings, tmp_path, encounter("visit", "p"), left)
    assert (outcome.n_rows, outcome.n_rejected, out_of_scope(settings)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (encounter("e", "p", "XX", status="entered-in-error"), "entered_in_error"),
        (condition("c", "p", "lost", (ICD10, "J00"), verificationStatus=WRONG), "entered_in_error"),
        (procedure("pr", "p", "lost", (SNOMED, "1"), status="entered-in-error"), "entered_in_error"),
        (dispense("d", "p", "lost", (TMT, "1"), status="entered-in-error"), "entered_in_error"),
        (request("r", "p", "lost", (TMT, "1"), status="entered-in-error"), "entered_in_error"),
        (encounter("e", "p", status="entered-in-error", period={}), "missing_key"),
        (encounter("e", "p", status="entered-in-error", meta={}), "missing_key"),
        (encounter("e", "p", modifierExtension=[{"url": "x"}]), "modifier_extension"),
        (encounter("e", "p", "XX"), "unknown_encounter_class"),
        (encounter("e", "p", **{"class": [{"coding": [{"code": "AMB"}]}]}), "unknown_encounter_class"),
        (condition("c", "p", "lost", (ICD10, "J00")), "unknown_encounter"),
        (procedure("pr", "p", "lost", (SNOMED, "1")), "unknown_encounter"),
        (dispense("d", "p", "lost", (TMT, "1")), "unknown_encounter"),
        (request("r", "p", "lost", (TMT, "1")), "unknown_encounter"),
        (encounter("e", "p", period={}), "missing_key"),
        (encounter("e", "p", period={"start": "2567-05-01"}), "be_year"),
        (encounter("e", "p", period={"start": "2030-05-01"}), "future_date"),
        (condition("c", "p", "visit"), "missing_key"),
        (encounter("e", "p", serviceProvider={"reference": "Organization/other"}), "hospcode_not_sender"),
    ],
    ids=lambda one: one if isinstance(one, str) else one["resourceType"],
)
def test_what_may_not_count_as_care_is_set_aside_by_its_rule(
    settings: Settings, tmp_path: Path, bad: Resource, rule: str
) -> None:
    outcome = send(settings, tmp_path, organization("other", "90102"), encounter("visit", "p"), bad)
    assert (outcome.outcome, outcome.n_rejected) == ("accepted_with_rejects", 1)
    reject = records(settings, "rejects").row(0, named=True)
    assert (reject["rule"], reject["member"]) == (rule, f"{bad['resourceType']}.ndjson")
    assert reject["source_line"] == (2 if bad["resourceType"] == "Encounter" else 1)
    assert landed(settings, "SERVICE")["seq"].to_list() == [stand_in(settings, "visit")]


def test_what_hangs_on_a_visit_that_never_was_is_no_care(settings: Settings, tmp_path: Path) -> None:
    send(
        settings,
        tmp_path,
        encounter("e", "p", status="entered-in-error"),
        encounter("f", "p", status="cancelled"),
        *(condition(f"c-{id_}", "p", id_, (ICD10, "J00")) for id_ in "ef"),
        *(request(f"r-{id_}", "p", id_, (TMT, "1")) for id_ in "ef"),
    )
    assert {file for file, frame in content(settings).items() if frame.height} == set()
    assert (rules(settings), out_of_scope(settings)) == ({}, 5)


@pytest.mark.parametrize(
    ("file", "sent", "wrong"),
    [
        ("SERVICE", encounter("e", "p"), {"status": "entered-in-error"}),
        ("ADMISSION", encounter("e", "p", "IMP"), {"status": "entered-in-error"}),
        ("DIAGNOSIS_OPD", condition("c", "p", "visit", (ICD10, "J00")), {"verificationStatus": WRONG}),
        ("DIAGNOSIS_IPD", condition("c", "p", "stay", (ICD10, "J00")), {"verificationStatus": WRONG}),
        ("PROCEDURE_OPD", procedure("pr", "p", "visit", (SNOMED, "1")), {"status": "entered-in-error"}),
        ("PROCEDURE_IPD", procedure("pr", "p", "stay", (SNOMED, "1")), {"status": "entered-in-error"}),
        ("DRUG_OPD", dispense("d", "p", "visit", (TMT, "1")), {"status": "entered-in-error"}),
        ("DRUG_IPD", dispense("d", "p", "stay", (TMT, "1")), {"status": "entered-in-error"}),
        ("DRUG_OPD", request("r", "p", "visit", (TMT, "1")), {"status": "entered-in-error"}),
        ("DRUG_IPD", request("r", "p", "stay", (TMT, "1")), {"status": "entered-in-error"}),
        ("LABFU", observation("o", "p", "visit", "laboratory"), {"status": "entered-in-error"}),
        ("LABFU", observation("o", "p", "stay", "laboratory"), {"status": "entered-in-error"}),
        ("CARD", coverage("cov", "p", ("x", "UCS")), {"status": "entered-in-error"}),
    ],
    ids=lambda one: one.get("resourceType", "") if isinstance(one, dict) else one,
)
def test_what_comes_again_as_entered_in_error_withdraws_the_row_it_once_was(
    settings: Settings, tmp_path: Path, file: str, sent: Resource, wrong: dict[str, Any]
) -> None:
    others = [encounter("visit", "p"), encounter("stay", "p", "IMP")]
    send(settings, tmp_path, *others, sent)
    before = staging(settings, file)
    again = sent | wrong | {"meta": {"lastUpdated": "2024-05-03T08:30:00+07:00"}}
    outcome = send(settings, tmp_path, *others, again, name=fhir_name(sent_at="20240605120000"))
    assert (outcome.n_rows, outcome.n_landed) == (3, 3)
    assert len(staging(settings, file)) == len(before) - 1


def use(code: str, system: str = "http://terminology.hl7.org/CodeSystem/diagnosis-role", **fields: Any) -> Resource:
    return {"condition": {"reference": "Condition/c"}, "use": coded((system, code)), **fields}


@pytest.mark.parametrize(
    ("diagnosis", "diagtype"),
    [
        (None, None),
        (use("1", ROLE), "1"),
        (use("5", ROLE), "5"),
        (use("DD", rank=1), "1"),
        (use("billing", rank=1), "1"),
        ({"condition": {"reference": "Condition/c"}, "rank": 1}, "1"),
        (use("DD", rank=2), "4"),
        (use("DD"), "4"),
        (use("AD", rank=1), "4"),
        (use("CM", rank=1), "2"),
    ],
)
def test_a_diagnosis_is_principal_only_where_the_encounter_says_so(
    settings: Settings, tmp_path: Path, diagnosis: Resource | None, diagtype: str | None
) -> None:
    extra = {"diagnosis": [diagnosis]} if diagnosis else {}
    send(settings, tmp_path, encounter("e", "p", **extra), condition("c", "p", "e", (ICD10, "J00")))
    assert landed(settings, "DIAGNOSIS_OPD")["diagtype"].to_list() == [diagtype]


def test_what_was_dispensed_stands_in_the_place_of_what_was_ordered(settings: Settings, tmp_path: Path) -> None:
    answered = [{"reference": "MedicationRequest/r-1"}]
    send(
        settings,
        tmp_path,
        *(encounter(f"e-{n}", "p") for n in (1, 2, 3)),
        request("r-1", "p", "e-1", (TMT, "100")),
        dispense("d-1", "p", None, (TMT, "101"), authorizingPrescription=answered),
        request("r-2", "p", "e-2", (TMT, "200")),
        dispense("d-2", "p", "e-2", (TMT, "201")),
        request("r-3", "p", "e-3", (TMT, "300"), dispenseRequest={"quantity": {"value": 7}}),
    )
    drugs = landed(settings, "DRUG_OPD").sort("didstd")
    assert drugs["didstd"].to_list() == ["101", "201", "300"]
    assert drugs["seq"].to_list() == [stand_in(settings, f"e-{n}") for n in (1, 2, 3)]
    assert drugs["amount"].to_list() == [20, 20, 7]


def test_a_drug_may_be_named_in_the_resource_inside_it_or_elsewhere(settings: Settings, tmp_path: Path) -> None:
    inside = resource("Medication", "m", code=coded((SNOMED, "9"), (TMT, "2")))
    send(
        settings,
        tmp_path,
        encounter("e", "p"),
        resource("Medication", "elsewhere", code=coded((f"{TERMS}/th-24drug", "1" * 24))),
        dispense("d-1", "p", "e", (SNOMED, "9"), (TMT, "1")),
        dispense("d-2", "p", "e", medicationReference={"reference": "#m"}, contained=[inside]),
        dispense("d-3", "p", "e", medicationReference={"reference": "Medication/elsewhere"}),
        dispense("d-4", "p", "e", ("http://www.nlm.nih.gov/research/umls/rxnorm", "206905")),
    )
    assert landed(settings, "DRUG_OPD")["didstd"].to_list() == ["1", "2", "1" * 24, "206905"]
    assert [("didstd:not_tmt" in one) for one in flags(landed(settings, "DRUG_OPD"))] == [False, False, False, True]


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"valueString": "ไม่พบเชื้อ"}, "ไม่พบเชื้อ"),
        ({"valueInteger": 3}, "3"),
        ({"valueBoolean": False}, "false"),
        ({"valueCodeableConcept": {"coding": [{"code": "260385009", "display": "Negative"}]}}, "Negative"),
        ({"valueQuantity": {"value": 0.10, "unit": "mg"}}, "0.1"),
    ],
)
def test_a_result_lands_as_text_whatever_its_type(
    settings: Settings, tmp_path: Path, value: Resource, result: str
) -> None:
    lab = observation("o", "p", None, "laboratory", **value)
    if "valueQuantity" not in value:
        del lab["valueQuantity"]
    send(settings, tmp_path, lab)
    assert landed(settings, "LABFU").select("seq", "labresult").rows() == [(None, result)]


@pytest.mark.parametrize(
    ("coding", "right"),
    [
        (("x", "UCS"), "0100"),
        (("x", "SSS"), "4200"),
        ((f"{TERMS}/cs-thcc-coverage-type", "1100"), "1100"),
        (("x", "OFC"), "OFC"),
    ],
)
def test_a_main_right_that_is_one_of_the_standard_is_translated(
    settings: Settings, tmp_path: Path, coding: tuple[str, str], right: str
) -> None:
    send(settings, tmp_path, coverage("cov", "p", coding))
    assert landed(settings, "CARD")["instype_new"].to_list() == [right]


def test_a_department_and_a_place_lead_to_the_facility_or_to_the_sender(settings: Settings, tmp_path: Path) -> None:
    send(
        settings,
        tmp_path,
        organization("hospital", SENDER),
        organization("department"),
        resource("Location", "ward", managingOrganization={"reference": "Organization/hospital"}),
        encounter("e-1", "p", serviceProvider={"reference": "Organization/department"}),
        encounter("e-2", "p", location=[{"location": {"reference": "Location/ward"}}]),
        encounter("e-3", "p", serviceProvider={"reference": "Organization/unknown"}),
    )
    assert landed(settings, "SERVICE")["hospcode"].to_list() == [SENDER] * 3


# ── receipts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_read_is_named_in_the_receipt_but_no_name_of_a_person(settings: Settings, tmp_path: Path) -> None:
    zipped = members([patient("p", 1, novelField="x"), encounter("e", "p"), encounter("e", "p")]) | {
        "log.ndjson": "{}",
        "parameters.json": "{}",
        "Claim.000.ndjson": "{}",
        "กานดา สมมติ.pdf": "x",
        "Kanda99.ndjson.bak": "x",
        "Kanda_Sommut_1.json": bundle([resource("Claim", "c"), patient("q", 2)]),
    }
    take_in(settings, make_zip(tmp_path / f"{fhir_name()}.zip", zipped))
    assert_balanced(settings)
    found = records(settings, "receipt_rules").filter(pl.col("rule").str.contains("ignored|unknown|duplicate"))
    assert set(found.select("rule", "column_name", "n_rows").iter_rows()) == {
        ("ignored_member", "log.ndjson", 1),
        ("ignored_member", "parameters.json", 1),
        ("ignored_member", "Claim.000.ndjson", 1),
        ("ignored_member", "6: กกกกก กกกกก.AAA", 1),
        ("ignored_member", "7: AAAAA99.ndjson.AAA", 1),
        ("ignored_resource", "Claim", 1),
        ("unknown_field", "novelField", 1),
        ("duplicate_id", "id", 1),
    }


def test_of_resources_with_one_id_the_newest_stands_and_both_are_counted(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, *(patient("p", n, gender=sex) for n, sex in ((1, "male"), (2, "female"))))
    assert landed(settings, "PERSON").height == 2
    assert rules(settings) == {"duplicate_id": 1}


def test_receipts_of_resources_and_bundles_are_made_anew_as_they_were(settings: Settings, tmp_path: Path) -> None:
    odd = [
        patient("q", 2, novelField=1),
        patient("", 3),
        resource("Claim", "c"),
        condition("c", "p", "x", (ICD10, "1")),
    ]
    zipped = members([*thai_set(), encounter("e", "p", "XX")]) | {
        "a.json": bundle(odd),
        "b.json": "{",
        "log.ndjson": "",
    }
    take_in(settings, make_zip(tmp_path / f"{fhir_name()}.zip", zipped))
    assert_balanced(settings)
    assert check(settings, sent=True) == []
    tables = ("receipts", "receipt_files", "receipt_rules")
    before = [sorted(records(settings, name).rows(), key=repr) for name in tables]
    for name in tables:
        for path in (settings.data_home.landing / "region=01").rglob(f"{name}.parquet"):
            path.unlink()
    _, left = repair(settings)
    assert left == []
    assert [sorted(records(settings, name).rows(), key=repr) for name in tables] == before


def test_a_rejected_delivery_of_resources_is_listed_and_proposes_no_other_sender(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "extract.zip", members(thai_set()))
    assert {one.file for one in list_members(path)} == {one["resourceType"] for one in thai_set()}
    assert not senders_inside(path, ZipLimits())


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def many(n: int, **fields: Any) -> str:
    one = json.dumps(patient("p-@", 1, **fields))
    return "".join(one.replace("p-@", f"p-{number}") + "\n" for number in range(n))


@pytest.mark.parametrize(
    ("content", "limits", "rule"),
    [
        (gzip.compress(b" " * (64 << 20)), ZipLimits(), "ratio_too_high"),
        (gzip.compress(gzip.compress(b" " * (64 << 20))), ZipLimits(), "nested_archive"),
        (gzip.compress(many(400).encode()), ZipLimits(max_member_bytes=100_000), "member_too_large"),
        (gzip.compress(many(400).encode()), ZipLimits(max_total_bytes=100_000), "delivery_too_large"),
        (gzip.compress(many(400).encode())[:-9], ZipLimits(), "corrupt_member"),
        (gzip.compress(many(400).encode())[:-4] + b"\0\0\0\0", ZipLimits(), "corrupt_member"),
        (gzip.compress(many(400).encode()) + b"junk", ZipLimits(), "corrupt_member"),
        (b"", ZipLimits(), "corrupt_member"),
    ],
    ids=["bomb", "bomb in a bomb", "member", "total", "cut off", "wrong size", "followed by junk", "no bytes"],
)
def test_gzip_inside_the_zip_is_bound_by_the_same_limits(
    settings: Settings, tmp_path: Path, content: bytes, limits: ZipLimits, rule: str
) -> None:
    """What is inflated twice is read once only: a gzip inside a gzip is an archive in an archive."""
    path = make_zip(tmp_path / f"{fhir_name()}.zip", {"Encounter.ndjson": "", "Patient.ndjson.gz": content})
    (outcome,) = take_in(settings.model_copy(update={"limits": limits}), path).outcomes
    assert outcome.reason == rule
    assert landed(settings, "PERSON").height == 0


# ── privacy ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PLANTED = {
    "CID": cid(7711),
    "ID_IS_CID": cid(7712),
    "SUBSCRIBER": cid(7713),
    "FAMILY": "รุ่งเรืองสมมติ",
    "GIVEN": "Kandawasee",
    "PHONE": "0899911223",
    "STREET": "99/987ซอยสมมติ",
    "HN": "HN77665544",
    "NOTE": "ปวดศีรษะมาสามวันสมมติ",
    "PASSPORT": "ZX9988776",
    "ENCOUNTER": "VN-66-004455",
}


def planted() -> list[Resource]:
    person = patient(
        PLANTED["ID_IS_CID"],
        1,
        identifier=[
            {"system": "https://terms.sil-th.org/id/th-cid", "value": PLANTED["CID"]},
            {"system": "https://terms.sil-th.org/hcode/5/90101/HN", "value": PLANTED["HN"]},
            {"system": "http://hl7.org/fhir/sid/passport-THA", "value": PLANTED["PASSPORT"]},
        ],
        name=[
            {
                "text": f"{PLANTED['GIVEN']} {PLANTED['FAMILY']}",
                "family": PLANTED["FAMILY"],
                "given": [PLANTED["GIVEN"]],
            }
        ],
        telecom=[{"system": "phone", "value": PLANTED["PHONE"]}],
        address=[{"text": PLANTED["STREET"], "line": [PLANTED["STREET"]]}],
        text={"status": "generated", "div": f"<div>{PLANTED['FAMILY']}</div>"},
    )
    patient_id, visit = PLANTED["ID_IS_CID"], PLANTED["ENCOUNTER"]
    display = {"reference": f"Patient/{patient_id}", "display": PLANTED["FAMILY"]}
    care = {"subject": display, "note": [{"text": PLANTED["NOTE"]}]}
    return [
        person,
        person | {"modifierExtension": [{"url": PLANTED["NOTE"]}]},
        person | {"birthDate": PLANTED["PHONE"], PLANTED["GIVEN"]: 1, PLANTED["CID"]: 2},
        person | {"resourceType": "Patient", "id": ""},
        encounter(visit, patient_id, subject=display, reasonCode=[{"text": PLANTED["NOTE"]}]),
        encounter("e-2", patient_id, period={"start": PLANTED["PHONE"]}),
        condition("c", patient_id, visit, (ICD10, "J00")) | care,
        condition("c-2", patient_id, PLANTED["HN"], (ICD10, "J00")) | care,
        dispense("d", patient_id, visit, (TMT, "1")) | care,
        coverage("cov", patient_id, ("x", "UCS"), subscriberId=PLANTED["SUBSCRIBER"]),
    ]


@pytest.mark.parametrize("shape", ["one member a type", "a transaction Bundle", "a folder of Bundles"])
def test_planted_identifiers_are_in_the_inbox_and_nowhere_else(
    settings: Settings, tmp_path: Path, command: Callable[..., int], capfd: pytest.CaptureFixture[str], shape: str
) -> None:
    name = f"{PLANTED['GIVEN']}_{PLANTED['FAMILY']}"
    if shape == "one member a type":
        zipped = members(planted()) | {f"{name}.pdf": "x"}
        path = make_zip(tmp_path / f"{fhir_name()}.zip", zipped)
    elif shape == "a transaction Bundle":
        path = make_zip(tmp_path / f"{fhir_name()}.zip", {f"{name}.json": bundle(planted())})
    else:
        path = write(tmp_path / fhir_name(), {f"{name}.json": bundle(planted())})
    assert command("ingest", path) == 0
    printed = capfd.readouterr()
    assert landed(settings, "PERSON").height == 2
    assert records(settings, "rejects").height == 4
    places = [*everything(settings.data_home.root), ("stdout", printed.out.encode()), ("stderr", printed.err.encode())]
    found = {
        (label, where)
        for label, text in PLANTED.items()
        for where, found in places
        if any(form in found for form in forms(text))
    }
    assert not found


def test_times_of_any_offset_are_thai_and_a_date_stays_the_day_it_is(settings: Settings, tmp_path: Path) -> None:
    starts = ["2024-04-30T23:30:00Z", "2024-04-30T12:30:00-05:00", AT, "2024-05-01", "2024-05-01T01:02:03.999+07:00"]
    send(settings, tmp_path, *(encounter(f"e-{n}", "p", period={"start": at}) for n, at in enumerate(starts)))
    visits = landed(settings, "SERVICE").select(pl.col("date_serv").cast(pl.String), "time_serv").rows()
    assert visits == [
        (day, clock)
        for day, clock in zip(["2024-05-01"] * 5, ["063000", "003000", "083000", None, "010203"], strict=True)
    ]


def test_bundles_that_memory_does_not_hold_land_as_if_it_did(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = {"a.json": bundle([*thai_set(), encounter("lost", "p", "XX"), patient("", 3)])}
    other = Settings(home=shutil.copytree(settings.home, tmp_path / "other"))
    take_in(settings, make_zip(tmp_path / f"{fhir_name()}.zip", zipped))
    for module, name in ((parts, "SPOOLED_BYTES"), (mapping, "LOOKUP_BYTES"), (mapping, "JOINED_BYTES")):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(reader, "MAX_LINES", 3)
    take_in(other, tmp_path / f"{fhir_name()}.zip")
    assert_balanced(other)
    assert records(settings, "rejects").height == 2
    for file, rows in content(other).items():
        assert rows.equals(content(settings)[file]), file
    for table in ("rejects", "receipt_files", "receipt_rules"):
        one, two = (records(home, table).drop("batch").sort(pl.all()) for home in (settings, other))
        assert one.equals(two), table
