"""The checkpoints: what ingestion landed passes, each fault planted in it is seen, and silence is no pass."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from quality import checkpoints
from quality.checkpoints import check_landing, check_warehouse, docs_of
from quality.suites import landing_suites, warehouse_suites
from ruam.checks import LANDING, Kind, Verdict, keep, last_verdict
from ruam.errors import CheckError, SetupError
from ruam.gates import of_checks
from ruam.home import DataHome
from ruam.landing import committed_batches
from ruam.settings import Settings
from tests.ingestion.odd_zips import make_zip, row, text, zip_name
from tests.ingestion.reading import take_in


@pytest.fixture(scope="module")
def landed_home(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    """Good, flagged and rejected rows of two files, and a rejected delivery."""
    folder = tmp_path_factory.mktemp("landed")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    odd = text(
        "SERVICE",
        row("SERVICE"),
        row("SERVICE", SEQ="2", PRICE="a lot", TYPEIN=""),
        row("SERVICE", SEQ=""),
        row("SERVICE", SEQ="S2", DATE_SERV="25670101"),
    )
    make_zip(
        folder / "in" / zip_name(),
        {"SERVICE.txt": odd + "a|short|line\r\n", "PERSON.txt": text("PERSON", row("PERSON"))},
    )
    (folder / "in" / zip_name("90102")).write_bytes(b"no zip")
    take_in(settings, folder / "in")
    return settings.data_home


@pytest.fixture
def home(landed_home: DataHome, tmp_path: Path) -> DataHome:
    return DataHome(Path(shutil.copytree(landed_home.root, tmp_path / "home")))


def rewrite(home: DataHome, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Plant a fault: the table of the batch that holds it."""
    (path,) = [
        one / f"{table}.parquet" for one in committed_batches(home.landing, "01") if (one / f"{table}.parquet").exists()
    ]
    change(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)


def broken(verdict: Verdict | None) -> set[tuple[str, str, str]]:
    assert verdict is not None
    return {(one.table, one.check.rule, str(one.status)) for one in verdict.stopping}


@pytest.mark.usefixtures("in_this_process")
def test_what_ingestion_landed_passes_once_and_is_not_checked_again(home: DataHome) -> None:
    verdict = check_landing(home)
    assert broken(verdict) == set()
    assert verdict is not None
    assert {one.table for one in verdict.outcomes if one.n_rows} >= {"service", "person", "receipts", "rejects"}
    assert docs_of(home, LANDING).exists()
    assert check_landing(home) is None
    again = check_landing(home, everything=True)
    assert again is not None
    assert again.batches == verdict.batches


def lost(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.head(frame.height - 1)


def with_value(**values: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: frame.with_columns(
        pl.lit(value, frame.schema[name]).alias(name) for name, value in values.items()
    )


@pytest.mark.usefixtures("in_this_process")
def test_faults_planted_in_the_landing_are_seen_and_the_batch_is_checked_again(home: DataHome) -> None:
    rewrite(home, "person", lost)
    rewrite(
        home, "service", with_value(seq=None, hospcode="99999", date_serv=date(2567, 1, 1), row_flags="price:made_up")
    )
    rewrite(home, "receipt_files", lambda frame: frame.with_columns(n_rejected=pl.col("n_rejected") + 1))
    rewrite(home, "rejects", with_value(rule="made_up", masked_value="1100"))
    rewrite(home, "receipt_rules", with_value(n_rows=0))
    rewrite(home, "receipts", with_value(delivery_id=None))
    assert broken(check_landing(home)) == {
        ("person", "missing_key", "error"),
        ("person", "unknown_hospcode", "error"),
        ("person", "known_flags", "error"),
        ("person", "columns", "error"),
        ("service", "missing_key", "failed"),
        ("service", "be_year", "failed"),
        ("service", "future_date", "failed"),
        ("service", "unknown_hospcode", "failed"),
        ("service", "known_flags", "failed"),
        ("receipt_files", "receipts_balance", "failed"),
        ("receipts", "delivery_known", "failed"),
        ("receipt_rules", "known_rule", "failed"),
        ("rejects", "known_rule", "failed"),
        ("rejects", "masked", "failed"),
        ("landed_files", "rows_balance", "failed"),
        ("landed_files", "rejects_balance", "failed"),
    }
    stored = last_verdict(home, LANDING)
    assert stored is not None
    assert stored.batches == ()
    assert check_landing(home) is not None, "what failed is checked again"


def test_a_checker_that_ends_without_an_answer_has_passed_nothing(
    home: DataHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an import that ends the process does, with exit code 0."""
    monkeypatch.setattr(checkpoints.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    with pytest.raises(CheckError, match="gave no answer"):
        check_landing(home)
    assert last_verdict(home, LANDING) is None


def test_an_answer_to_another_question_is_none(home: DataHome, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        Path(command[4]).write_text("[]", encoding="utf-8")
        (Path(command[5]) / "index.html").write_text("", encoding="utf-8")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(checkpoints.subprocess, "run", answer)
    with pytest.raises(CheckError, match="something else"):
        check_landing(home)
    assert last_verdict(home, LANDING) is None


def test_without_a_good_build_there_is_no_warehouse_to_check(home: DataHome) -> None:
    with pytest.raises(SetupError, match="no good build"):
        check_warehouse(home)


def test_every_promise_of_a_rule_reaches_a_suite() -> None:
    (suite,) = (one for one in landing_suites(["SERVICE"]) if one.table == "service")
    by_rule = {(one.rule, one.columns): one for one in suite.checks}
    assert by_rule["missing_key", ("pid",)].kind is Kind.FILLED
    assert "2400" in by_rule["be_year", ("date_serv",)].condition
    assert {one.rule for one in suite.checks} >= {
        "missing_key",
        "invalid_date",
        "be_year",
        "future_date",
        "unknown_hospcode",
    }


def node(name: str, columns: dict[str, dict[str, Any]], layer: str = "warehouse", **meta: Any) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": "model",
        "fqn": ["ruam", layer, name],
        "config": {"contract": {"enforced": True}, "meta": meta},
        "columns": {column: {"config": {"meta": of}} for column, of in columns.items()},
    }


def key_of(model: str, *columns: str) -> dict[str, Any]:
    return {
        "resource_type": "test",
        "attached_node": f"model.ruam.{model}",
        "test_metadata": {"name": "unique_combination", "kwargs": {"columns": list(columns)}},
    }


def test_suites_of_the_warehouse_follow_its_models_and_their_keys() -> None:
    nodes = [
        node("dim_facilities", {"hospcode": {}}, never_empty=True),
        key_of("dim_facilities", "hospcode"),
        node(
            "fct_visits",
            {"hospcode": {}, "seq": {}},
            never=[{"rule": "r", "gate": "row_balance", "condition": "seq < 0"}],
        ),
        key_of("fct_visits", "coalesce(hospcode, '')", "seq"),
        node("fct_deliveries", {"hospcode": {"refers": False}}),
        node("dim_persons", {"person_key": {}}, without_orphans=True),
        key_of("dim_persons", "person_key"),
        node("fct_charges", {"hospcode": {}, "person_key": {}, "is_orphan": {}}),
        node("msr_x", {"hospcode": {}}, layer="measures"),
    ]
    suites = {one.table: one for one in warehouse_suites({"nodes": dict(enumerate(nodes))})}
    assert set(suites) == {"dim_facilities", "dim_persons", "fct_visits", "fct_deliveries", "fct_charges"}
    assert not suites["dim_facilities"].may_be_empty
    told = {(one.rule, one.kind, one.gate) for one in suites["fct_visits"].checks}
    assert told == {
        ("columns", Kind.COLUMNS, "contracts"),
        ("key", Kind.FILLED, "keys"),
        ("key", Kind.NEVER, "keys"),
        ("key", Kind.UNIQUE, "keys"),
        ("r", Kind.NEVER, "row_balance"),
        ("in_dim_facilities", Kind.NEVER, "references"),
    }
    assert [one.rule for one in suites["fct_deliveries"].checks] == ["columns"]
    excuses = {one.rule: "and not is_orphan" in one.condition for one in suites["fct_charges"].checks if one.condition}
    assert excuses == {"in_dim_facilities": False, "in_dim_persons": True}, "an orphan excuses its person alone"


def test_a_verdict_on_nothing_is_not_passed() -> None:
    assert not Verdict(checkpoint=LANDING, at=datetime(2025, 1, 1, tzinfo=UTC), outcomes=()).is_passed


WAREHOUSE_TABLES = """
create schema ruam;
create table ruam.builds as select '20250301T000000-cccccccc' as build_id, 'succeeded' as status, 1 as number;
create table ruam.built_batches (batch varchar);
create table dim_facilities as select unnest(['10001', '10002']) as hospcode;
create table fct_visits as select '10001' as hospcode, cast(i as varchar) as seq from range(5) t(i);
create table fct_files as select 'PERSON' as file, 5 as n_rows, 4 as n_standing, 1 as n_rejected;
"""
BALANCE = {"rule": "rows_balance", "gate": "row_balance", "condition": "n_rows <> n_standing + n_rejected"}
WAREHOUSE_NODES = [
    node("dim_facilities", {"hospcode": {}}, never_empty=True),
    key_of("dim_facilities", "hospcode"),
    node("fct_visits", {"hospcode": {}, "seq": {}}, never_empty=True),
    key_of("fct_visits", "hospcode", "seq"),
    node("fct_files", {"file": {}, "n_rows": {}, "n_standing": {}, "n_rejected": {}}, never=[BALANCE]),
]


@pytest.mark.usefixtures("in_this_process")
def test_faults_planted_in_the_warehouse_shut_their_gates(tmp_path: Path) -> None:
    home = DataHome(tmp_path / "home")
    home.create()
    (home.dbt / "target").mkdir()
    manifest = {"nodes": {str(number): one for number, one in enumerate(WAREHOUSE_NODES)}}
    (home.dbt / "target" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(WAREHOUSE_TABLES)
    keep(home, Verdict(checkpoint=LANDING, at=datetime(2025, 1, 1, tzinfo=UTC), outcomes=()))
    sound = check_warehouse(home)
    assert sound.is_passed
    assert list(of_checks(home, sound.build_id, frozenset())) == []
    for fault, gate in (
        ("insert into fct_visits values ('10001', '4')", "keys"),
        ("insert into fct_visits values ('99999', '4')", "references"),
        ("update fct_files set n_standing = 3", "row_balance"),
        ("alter table fct_files add column more integer", "contracts"),
        ("delete from dim_facilities", "unchecked"),
        ("drop table fct_files", "unchecked"),
    ):
        shutil.copy(home.warehouse, tmp_path / "sound.duckdb")
        with duckdb.connect(str(home.warehouse)) as connection:
            connection.execute(fault)
        assert not check_warehouse(home).is_passed
        assert gate in {stop.gate for stop in of_checks(home, sound.build_id, frozenset())}, fault
        shutil.copy(tmp_path / "sound.duckdb", home.warehouse)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("insert into dim_facilities values (null)")
    assert {stop.gate for stop in of_checks(home, check_warehouse(home).build_id, frozenset())} == {"keys"}
