"""Lists of codes that the warehouse groups by: nothing falls into two groups, and each group is named."""

from __future__ import annotations

import csv
import re
from itertools import pairwise

import pytest

from ruam.settings import PROJECT

Rows = list[dict[str, str]]


def seed(name: str) -> Rows:
    with (PROJECT / "seeds" / "terminology" / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


KEYS = {
    "imaging_procedures": "pattern",
    "lab_tests": "lab_code",
    "icd10_chapters": "chapter_code",
    "condition_groups": "condition_group",
    "procedure_chapters": "chapter_code",
    "clinic_departments": "department_code",
    "atc_groups": "atc_group",
    "provider_kinds": "kind_code",
}


@pytest.mark.parametrize(("name", "key"), KEYS.items())
def test_each_code_stands_once_and_every_cell_says_something(name: str, key: str) -> None:
    rows = seed(name)
    assert len({row[key] for row in rows}) == len(rows)
    assert [row for row in rows if not all(value.strip() for value in row.values())] == []


def test_no_imaging_code_has_two_meanings() -> None:
    patterns = [re.compile(row["pattern"]) for row in seed("imaging_procedures")]
    codes = [str(number).zfill(width) for width in (2, 3, 4) for number in range(10**width)]
    meanings = {code: sum(1 for pattern in patterns if pattern.search(code)) for code in codes}
    assert {code for code, n in meanings.items() if n > 1} == set()
    assert all(meanings[code] for code in ("8703", "8744", "8724", "8893", "8838", "8876", "8737"))
    assert not any(meanings[code] for code in ("9915", "9357", "8659", "8952", "88"))


@pytest.mark.parametrize("name", ["icd10_chapters", "procedure_chapters"])
def test_chapters_do_not_overlap(name: str) -> None:
    ranges = sorted((row["code_from"], row["code_to"]) for row in seed(name))
    assert all(first <= last for first, last in ranges)
    assert all(last < following for (_, last), (following, _) in pairwise(ranges))


def test_every_two_digits_are_in_a_procedure_chapter() -> None:
    chapters = [(row["code_from"], row["code_to"]) for row in seed("procedure_chapters")]
    digits = [str(number).zfill(2) for number in range(100)]
    assert [code for code in digits if not any(first <= code <= last for first, last in chapters)] == []


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("J00", "respiratory_infection"),
        ("J209", "respiratory_infection"),
        ("J189", "pneumonia"),
        ("E119", "diabetes"),
        ("I10", "hypertension"),
        ("I500", "heart_failure"),
        ("M545", "back_pain"),
        ("M179", "muscle_and_joint"),
        ("A099", "gastroenteritis"),
        ("A153", "tuberculosis"),
        ("K029", "dental"),
        ("N390", "urinary_infection"),
        ("N393", None),
        ("J303", None),
        ("Z000", None),
    ],
)
def test_the_first_group_in_order_takes_a_code(code: str, group: str | None) -> None:
    groups = sorted(seed("condition_groups"), key=lambda row: int(row["sort_order"]))
    taking = [row["condition_group"] for row in groups if re.search(row["pattern"], code)]
    assert (taking[0] if taking else None) == group
