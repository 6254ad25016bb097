"""Invented resources of FHIR R4 in the shapes that senders give them: TH Core, public bulk samples, Synthea."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.ingestion.odd_zips import SENDER, SENT_AT, cid

Resource = dict[str, Any]
Coding = tuple[str, str]
"""A code system and a code of it."""

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
TMT = "https://terms.sil-th.org/core/CodeSystem/cs-th-tmt"
HCODE = "https://terms.sil-th.org/id/th-moph-hcode"
ROLE = "https://terms.sil-th.org/core/CodeSystem/cs-43plus-encounter-diagnosis-role"
TERMS = "https://terms.sil-th.org/CodeSystem"
GUIDE = "https://fhir-ig.sil-th.org/43filesplus/Extension"
SYNTHEA = "https://github.com/synthetichealth/synthea"
UPDATED = "2024-05-02T08:30:00.123+07:00"
AT = "2024-05-01T08:30:00+07:00"


def fhir_name(hospcode: str = SENDER, sent_at: str = SENT_AT) -> str:
    return f"FHIR_{hospcode}_{sent_at}"


def coded(*codings: Coding) -> Resource:
    return {"coding": [{"system": system, "code": code} for system, code in codings]}


def resource(kind: str, id_: str | None, **fields: Any) -> Resource:
    return {"resourceType": kind, "id": id_, "meta": {"lastUpdated": UPDATED}, **fields}


def patient(id_: str, number: int, **fields: Any) -> Resource:
    """As TH Core has one: an invented citizen number, a name in two scripts, an address, a telephone."""
    return resource(
        "Patient",
        id_,
        **{
            "identifier": [
                {"type": coded(("http://terminology.hl7.org/CodeSystem/v2-0203", "MR")), "value": f"HN{number:07d}"},
                {"use": "official", "system": "https://terms.sil-th.org/id/th-cid", "value": cid(number)},
            ],
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/patient-nationality",
                    "extension": [{"url": "code", "valueCodeableConcept": coded(("urn:iso:std:iso:3166", "THA"))}],
                }
            ],
            "name": [{"family": "สมมติวงศ์", "given": [f"ทดสอบ{number}"], "prefix": ["นาง"]}],
            "telecom": [{"system": "phone", "value": "0810000000"}],
            "gender": "female",
            "birthDate": "1980-02-15",
            "maritalStatus": coded(("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M")),
            "address": [{"line": ["1/1 ถนนสมมติ"], "city": "ตำบลสมมติ"}],
        }
        | fields,
    )


def organization(id_: str, *codes: str) -> Resource:
    return resource("Organization", id_, identifier=[{"system": HCODE, "value": code} for code in codes])


def encounter(id_: str, patient_id: str, kind: str = "AMB", **fields: Any) -> Resource:
    return resource(
        "Encounter",
        id_,
        **{
            "status": "finished",
            "class": {"system": ACT, "code": kind},
            "subject": {"reference": f"Patient/{patient_id}"},
            "period": {"start": AT, "end": "2024-05-01T09:00:00+07:00"},
        }
        | fields,
    )


def condition(id_: str, patient_id: str, encounter_id: str | None, *codings: Coding, **fields: Any) -> Resource:
    return resource("Condition", id_, code=coded(*codings), **_care(patient_id, encounter_id), **fields)


def procedure(id_: str, patient_id: str, encounter_id: str, *codings: Coding, **fields: Any) -> Resource:
    done = {"status": "completed", "performedPeriod": {"start": AT, "end": "2024-05-01T08:45:00+07:00"}}
    return resource("Procedure", id_, code=coded(*codings), **_care(patient_id, encounter_id), **(done | fields))


def request(id_: str, patient_id: str, encounter_id: str, *codings: Coding, **fields: Any) -> Resource:
    order = {"status": "completed", "intent": "order", "authoredOn": AT}
    drug = {"medicationCodeableConcept": coded(*codings)} if codings else {}
    return resource("MedicationRequest", id_, **_care(patient_id, encounter_id), **drug, **(order | fields))


def dispense(id_: str, patient_id: str, encounter_id: str | None, *codings: Coding, **fields: Any) -> Resource:
    given = {"status": "completed", "quantity": {"value": 20}, "whenHandedOver": AT}
    drug = {"medicationCodeableConcept": coded(*codings)} if codings else {}
    care = _care(patient_id, encounter_id, "context")
    return resource("MedicationDispense", id_, **care, **drug, **(given | fields))


def observation(id_: str, patient_id: str, encounter_id: str | None, category: str, **fields: Any) -> Resource:
    return resource(
        "Observation",
        id_,
        **{
            "status": "final",
            "category": [coded(("http://terminology.hl7.org/CodeSystem/observation-category", category))],
            "code": coded(("http://loinc.org", "2093-3")),
            "effectiveDateTime": AT,
            "valueQuantity": {"value": 200.5, "unit": "mg/dL"},
        }
        | _care(patient_id, encounter_id)
        | fields,
    )


def coverage(id_: str, patient_id: str, *codings: Coding, **fields: Any) -> Resource:
    known = {
        "status": "active",
        "type": coded(*codings),
        "beneficiary": {"reference": f"Patient/{patient_id}"},
        "period": {"start": "2024-01-01", "end": "2024-12-31"},
    }
    return resource("Coverage", id_, **(known | fields))


def _care(patient_id: str, encounter_id: str | None, name: str = "encounter") -> Resource:
    of = {name: {"reference": f"Encounter/{encounter_id}"}} if encounter_id else {}
    return {"subject": {"reference": f"Patient/{patient_id}"}, **of}


def thai_set(sender: str = SENDER) -> list[Resource]:
    """A visit, a telemedicine visit and a stay of one patient at `sender`, with all that may hang on them."""
    home = {"serviceProvider": {"reference": "Organization/org-1"}}
    diagnoses = [
        {"condition": {"reference": "Condition/c-1"}, "use": coded((ROLE, "1"))},
        {"condition": {"reference": "Condition/c-2"}, "use": coded((ROLE, "2"))},
    ]
    outcome = {
        "extension": [
            {
                "url": f"{GUIDE}/ex-encounter-discharge-status",
                "valueCodeableConcept": coded((f"{TERMS}/cs-thcc-discharge-status", "1")),
            }
        ]
    }
    leaving = {
        "extension": [
            {
                "url": f"{GUIDE}/ex-encounter-ipd-discharge-{name}",
                "valueCodeableConcept": coded(
                    (f"http://terms.sil-th.org/CodeSystem/cs-thcc-ipd-discharge-{name}", code)
                ),
            }
            for name, code in (("status", "2"), ("type", "1"))
        ]
    }
    stay = {"start": "2024-05-10T20:00:00+00:00", "end": "2024-05-13T03:00:00Z"}
    return [
        organization("org-1", sender, f"EA00{sender}"),
        patient("p-1", 1),
        encounter("e-1", "p-1", diagnosis=diagnoses, hospitalization=outcome, **home),
        encounter("e-2", "p-1", "VR", **home),
        encounter("e-3", "p-1", "IMP", hospitalization=leaving, period=stay, **home),
        condition("c-1", "p-1", None, (SNOMED, "43878008"), (ICD10, "J02.0")),
        condition("c-2", "p-1", "e-1", (ICD10, "E11.9")),
        condition("c-3", "p-1", "e-3", (f"{TERMS}/cs-th-icd10tm", "I10")),
        procedure("pr-1", "p-1", "e-1", (ICD9, "96.59")),
        procedure("pr-2", "p-1", "e-3", (ICD9, "45.13")),
        resource("Medication", "m-1", code=coded((TMT, "227162"))),
        request("r-1", "p-1", "e-1", (TMT, "227162")),
        dispense("d-1", "p-1", None, (TMT, "227162"), authorizingPrescription=[{"reference": "MedicationRequest/r-1"}]),
        request("r-3", "p-1", "e-3", medicationReference={"reference": "Medication/m-1"}),
        observation("o-1", "p-1", "e-1", "laboratory"),
        observation("o-2", "p-1", "e-1", "vital-signs"),
        coverage("cov-1", "p-1", ("https://terms.sil-th.org/core/CodeSystem/cs-th-coverage-type", "UCS")),
    ]


def sample_set(n: int = 2) -> list[Resource]:
    """As the public bulk samples: no `lastUpdated`, American offsets, SNOMED CT and RxNorm, conditional references."""
    found = []
    for number in range(n):
        person, visit = f"0bee1bc6-{number:04d}-bcd5-7bc0-02fadc5217d6", f"f6003197-{number:04d}-1168-87be-ceccd5517094"
        place = "6c96fc74-9649-3331-83ea-f553cf6bf601"
        at = {"start": "2020-03-20T22:46:59-05:00", "end": "2020-03-20T23:01:59-05:00"}
        found += [
            patient(person, number, identifier=[{"system": SYNTHEA, "value": person}], deceasedDateTime=at["end"]),
            encounter(
                visit,
                person,
                period=at,
                serviceProvider={"reference": f"Organization?identifier={SYNTHEA}|{place}"},
                location=[{"location": {"reference": f"Location?identifier={SYNTHEA}|b0e9525e"}}],
            ),
            condition(
                f"c-{number}",
                person,
                visit,
                (SNOMED, "444814009"),
                clinicalStatus=coded(("http://terminology.hl7.org/CodeSystem/condition-clinical", "resolved")),
                category=[coded(("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis"))],
                onsetDateTime=at["start"],
                recordedDate=at["start"],
            ),
            procedure(f"pr-{number}", person, visit, (SNOMED, "430193006"), performedPeriod=at),
            request(
                f"r-{number}",
                person,
                visit,
                ("http://www.nlm.nih.gov/research/umls/rxnorm", "206905"),
                dosageInstruction=[{"text": "Take as needed."}],
            ),
            observation(f"o-{number}", person, visit, "laboratory", effectiveDateTime=at["start"]),
            observation(f"w-{number}", person, visit, "vital-signs", effectiveDateTime=at["start"]),
            organization(place) | {"identifier": [{"system": SYNTHEA, "value": place}]},
        ]
    unique = {(one["resourceType"], one["id"]): one for one in found}
    return [{key: value for key, value in one.items() if key != "meta"} for one in unique.values()]


def ndjson(resources: Iterable[Resource]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in resources)


def members(resources: Iterable[Resource], infix: str = "") -> dict[str, str]:
    """One NDJSON member for each resource type: `Patient<infix>.ndjson`."""
    by_type: dict[str, list[Resource]] = {}
    for one in resources:
        by_type.setdefault(one["resourceType"], []).append(one)
    return {f"{kind}{infix}.ndjson": ndjson(found) for kind, found in by_type.items()}


def bundle(resources: Iterable[Resource], kind: str = "transaction") -> str:
    """One Bundle, printed over many lines, in which resources refer to each other by `urn:uuid:`."""
    found = list(resources)
    text = json.dumps(found, ensure_ascii=False)
    for one in found:
        text = text.replace(f'"{one["resourceType"]}/{one["id"]}"', f'"urn:uuid:{one["id"]}"')
    entries = [
        {"fullUrl": f"urn:uuid:{one['id']}", "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for one in json.loads(text)
    ]
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}, ensure_ascii=False, indent=2)
