"""A facility mends what it sent and sends it again: real zips, read, landed, built, and told of in its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ruam.build import build
from ruam.dbt import run_dbt
from ruam.home import DataHome
from ruam.settings import Settings
from tests.ingestion.odd_zips import SENDER, make_zip, row, text, zip_name
from tests.ingestion.reading import take_in
from tests.stewards_factory import write_stewards

pytestmark = pytest.mark.slow

FOR_STEWARDS = ("fct_finding_histories", "fct_deliveries")
FAULTY = {"SBP": "20", "PRICE": "much"}
"""A blood pressure that no rule over a single cell sees, and a price that is no number."""
STANDING, READ = "implausible_blood_pressure", "not_numeric"
PLANTED = (STANDING, READ, "price_missing")
"""What they are found to be: a price that is no number is none either."""


@pytest.fixture
def built_for_stewards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Builds make what stewards read, and nothing that comes after it."""

    def run(arguments: list[str], home: DataHome, **options: Any) -> None:
        wanted = [f"+{model}" for model in (*FOR_STEWARDS, "fct_finding_events", "int_data__bounded")]
        run_dbt([*arguments, "--exclude-resource-type", "test", "--select", *wanted], home, **options)

    monkeypatch.setattr("ruam.build.run_dbt", run)
    return


def sent(folder: Path, sent_at: str, faults: dict[str, str]) -> Path:
    """A visit of a person, with its diagnosis; the visit bears the faults."""
    plausible = {"SBP": "120", "DBP": "80"}
    visits = [row("SERVICE", **{"SEQ": "S1", **plausible, **faults}), row("SERVICE", SEQ="S2", **plausible)]
    diagnoses = [row("DIAGNOSIS_OPD", SEQ=one["SEQ"], DIAGCODE="J00") for one in visits]
    members = {
        "PERSON.txt": text("PERSON"),
        "SERVICE.txt": text("SERVICE", *(one | {"D_UPDATE": sent_at} for one in visits)),
        "DIAGNOSIS_OPD.txt": text("DIAGNOSIS_OPD", *diagnoses),
    }
    return make_zip(folder / zip_name(sent_at=sent_at), members)


def published(home: DataHome) -> dict[str, dict[str, Any]]:
    """What the warehouse knows is published for stewards; the planted findings by rule."""
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        findings, deliveries = (connection.table(name).pl().to_dicts() for name in FOR_STEWARDS)
    write_stewards(home.serving, findings, deliveries)
    return {one["rule_code"]: one for one in findings if one["rule_code"] in PLANTED}


def test_a_fault_is_found_mended_and_found_again_under_one_identity(
    command: Callable[..., int], settings: Settings, tmp_path: Path, built_for_stewards: None
) -> None:
    told = []
    for sent_at, faults in (("20240601120000", FAULTY), ("20240701120000", {}), ("20240801120000", FAULTY)):
        take_in(settings, sent(tmp_path / "in", sent_at, faults))
        build(settings)
        findings = published(settings.data_home)
        out = tmp_path / f"{sent_at}.json"
        assert command("report", SENDER, "--format", "json", "--out", out) == 0
        told.append((findings, json.loads(out.read_text("utf-8"))))

    states = [{code: one["state"] for code, one in findings.items()} for findings, _ in told]
    assert states == [dict.fromkeys(PLANTED, state) for state in ("opened", "fixed", "came_back")]
    for code in PLANTED:
        assert len({findings[code]["finding_key"] for findings, _ in told}) == 1, code
        assert [findings[code]["n_times_opened"] for findings, _ in told] == [1, 1, 2]
    assert f"{told[1][0][STANDING]['fixed_at']:%Y%m%d}" == "20240701", "mended when the delivery that mends it was sent"

    def faults_of(report: dict[str, Any]) -> dict[str, tuple[str, str, int]]:
        rows = [(row["line"], fault) for file in report["files"] for row in file["rows"] for fault in row["faults"]]
        return {
            fault["rule"]: (fault["state"], fault["finding_key"], line)
            for line, fault in rows
            if fault["rule"] in PLANTED
        }

    keys = {code: told[0][0][code]["finding_key"] for code in PLANTED}
    assert faults_of(told[0][1]) == {code: ("opened", key, 2) for code, key in keys.items()}
    assert faults_of(told[1][1]) == {}
    assert told[1][1]["standing"]["n_fixed"] == len(PLANTED)
    assert faults_of(told[2][1]) == {code: ("came_back", key, 2) for code, key in keys.items()}
    assert told[2][1]["standing"]["n_came_back"] == len(PLANTED)
