"""The gates before publishing: each, shut by a planted fault, leaves the published file as it was and says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from ruam import publish as publishing
from ruam.checks import LANDING, WAREHOUSE, Status
from ruam.cli.status import _state
from ruam.errors import BuildError, PublishError
from ruam.gates import BUILD, gates, lift, of_build, record, stopped
from ruam.home import DataHome
from ruam.publish import Publication, publish
from ruam.settings import PROJECT
from tests.unit.test_publish import build, home, pointer
from tests.unit.verdicts import keep_verdict, pass_checks

__all__ = ["home"]

Plant = Callable[[DataHome, pytest.MonkeyPatch], None]


def failed_check(gate: str, checkpoint: str = WAREHOUSE) -> Plant:
    return lambda home, _: keep_verdict(home, checkpoint, gate=gate, status=Status.FAILED)


def check_that_was_not_evaluated(home: DataHome, _: pytest.MonkeyPatch) -> None:
    keep_verdict(home, WAREHOUSE, status=Status.ERROR)


def no_verdict(home: DataHome, _: pytest.MonkeyPatch) -> None:
    (home.checks / f"{WAREHOUSE}.json").unlink()


def verdict_on_another_build(home: DataHome, _: pytest.MonkeyPatch) -> None:
    before = (home.checks / f"{WAREHOUSE}.json").read_bytes()
    build(home, "20241003T000000-dddddddd", "succeeded", 3)
    (home.checks / f"{WAREHOUSE}.json").write_bytes(before)


def batch_that_was_not_checked(home: DataHome, _: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("insert into ruam.built_batches values ('a batch')")


def build_that_failed(home: DataHome, _: pytest.MonkeyPatch) -> None:
    build(home, "20241003T000000-dddddddd", "running", 3)


def batch_that_waits(home: DataHome, _: pytest.MonkeyPatch) -> None:
    folder = home.landing / "region=01" / "batch=late"
    folder.mkdir(parents=True)
    came = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=49)
    receipt = {"delivery_id": ["d"], "sent_at": [came], "received_at": [came], "batch": ["late"]}
    pl.DataFrame(receipt).write_parquet(folder / "receipts.parquet")


def small_count_that_is_shown(_: DataHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "controlled_sql", lambda name: f'"{name}"')


PLANTED: list[tuple[str, Plant]] = [
    ("row_balance", failed_check("row_balance")),
    ("row_balance", failed_check("row_balance", LANDING)),
    ("keys", failed_check("keys")),
    ("references", failed_check("references")),
    ("contracts", failed_check("contracts")),
    ("disclosure", failed_check("disclosure", LANDING)),
    ("disclosure", small_count_that_is_shown),
    ("unchecked", check_that_was_not_evaluated),
    ("unchecked", no_verdict),
    ("unchecked", verdict_on_another_build),
    ("unchecked", batch_that_was_not_checked),
    ("freshness", batch_that_waits),
    ("build", build_that_failed),
]


def contents(published: Publication) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(published.path), read_only=True) as connection:
        return connection.execute("from agg_utilization").fetchall()


@pytest.mark.parametrize(("gate", "plant"), PLANTED, ids=lambda one: getattr(one, "__name__", one))
def test_a_shut_gate_leaves_the_published_file_and_says_why(
    gate: str, plant: Plant, home: DataHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = publish(home)
    pointed, held, bytes_before = pointer(home), contents(before), before.path.read_bytes()
    assert stopped(home) is None
    with monkeypatch.context() as patched:
        plant(home, patched)
        with pytest.raises(PublishError):
            publish(home)
    assert pointer(home) == pointed
    assert before.path.read_bytes() == bytes_before
    assert contents(before) == held
    assert list(home.serving.glob("ruam_*.duckdb")) == [before.path]
    told = stopped(home)
    assert told is not None
    assert {one.gate for one in told.stops} == {gate}
    assert all(one.detail for one in told.stops)


def test_each_gate_is_planted_and_has_its_words_and_its_runbook() -> None:
    assert {gate for gate, _ in PLANTED} == set(gates())
    page = (PROJECT / "docs" / "runbooks" / "gates.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert sections == list(gates())
    for code, gate in gates().items():
        assert re.search("[ก-๙]{5}", gate.th)
        assert gate.en.endswith(".")
        assert gate.runbook == f"docs/runbooks/gates.md#{code}"


def test_when_the_gates_open_again_nothing_is_said_any_more(home: DataHome) -> None:
    keep_verdict(home, WAREHOUSE, status=Status.FAILED)
    with pytest.raises(PublishError, match="keys"):
        publish(home)
    pass_checks(home)
    done = publish(home)
    assert stopped(home) is None
    assert pointer(home)["file"] == done.path.name


def test_what_a_failed_build_told_is_kept_when_publishing_is_tried(home: DataHome) -> None:
    build(home, "20241003T000000-dddddddd", "running", 3)
    error = BuildError("it failed", [(dbt_test("unique_combination"), "Got 2 results, configured to fail if != 0")])
    record(home, "20241003T000000-dddddddd", of_build(error))
    with pytest.raises(PublishError, match="did not succeed"):
        publish(home)
    told = stopped(home)
    assert told is not None
    assert [(one.gate, one.detail) for one in told.stops] == [("keys", "a test")]


def dbt_test(kind: str | None, **meta: str) -> dict[str, Any]:
    told = {"test_metadata": {"name": kind}} if kind else {}
    return {"resource_type": "test", "name": "a test", "config": {"meta": meta}, **told}


MODEL = {"resource_type": "model", "name": "a model", "config": {}}


@pytest.mark.parametrize(
    ("node", "message", "gate"),
    [
        (dbt_test("unique_combination"), "Got 2 results", "keys"),
        (dbt_test("not_null"), "Got 2 results", "keys"),
        (dbt_test("relationships"), "Got 2 results", "references"),
        (dbt_test("one_row"), "Got 2 results", "contracts"),
        (dbt_test(None, gate="row_balance"), "Got 2 results", "row_balance"),
        (dbt_test(None), "Got 2 results", "build"),
        (MODEL, "This model has an enforced contract that failed.", "contracts"),
        (MODEL, "Out of Memory Error", "build"),
    ],
)
def test_a_failed_build_shuts_the_gate_of_what_failed(node: dict[str, Any], message: str, gate: str) -> None:
    assert [one.gate for one in of_build(BuildError("x", [(node, message)]))] == [gate]


def test_a_build_that_never_got_to_a_model_shuts_its_own_gate() -> None:
    assert [one.gate for one in of_build(BuildError("x"))] == [BUILD]


def test_the_tests_of_the_row_balance_name_their_gate() -> None:
    for name in ("receipts_balance", "rows_stand_or_are_replaced"):
        text = (PROJECT / "tests" / "dbt" / "singular" / f"{name}.sql").read_text(encoding="utf-8")
        assert "'gate': 'row_balance'" in text


def test_status_tells_the_gate_its_words_and_its_runbook(home: DataHome) -> None:
    publish(home)
    assert _state(home, None)["stopped"] is None
    keep_verdict(home, WAREHOUSE, gate="references", status=Status.FAILED)
    with pytest.raises(PublishError):
        publish(home)
    (reason,) = _state(home, None)["stopped"]["reasons"]
    assert reason["gate"] == "references"
    assert reason["runbook"] == "docs/runbooks/gates.md#references"
    assert "warehouse, t: key (3)" in reason["detail"]
    assert reason["th"] == gates()["references"].th


def test_a_record_that_cannot_be_read_stops_nothing(home: DataHome) -> None:
    (home.serving / "stopped.json").write_text("{", encoding="utf-8")
    assert stopped(home) is None
    lift(home)
    assert not (home.serving / "stopped.json").exists()
