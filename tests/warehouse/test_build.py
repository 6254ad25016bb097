"""What a build does around dbt: the ledger, and other processes."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import groupby
from pathlib import Path

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import LocalEnvironment

from ruam.build import build, is_sound, last_build_id
from ruam.dbt import STORAGE_VERSION, give_back_memory, manifest, run_dbt
from ruam.errors import BuildError, BusyError
from ruam.home import DataHome
from ruam.settings import PROJECT, Settings
from tests.warehouse.country import BATCHES, land, make_country
from tests.warehouse.landing_factory import write_registry

pytestmark = pytest.mark.slow

_HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@contextmanager
def held_open(home: DataHome) -> Iterator[None]:
    """Another process that writes the warehouse."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _HOLD, str(home.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = make_country(tmp_path_factory.mktemp("build"))
    land(home, *BATCHES[:1])
    settings = Settings(home=home.root)
    assert build(settings).is_full_refresh
    return settings


def test_a_build_without_news_does_nothing(built: Settings) -> None:
    assert build(built).skipped


def test_a_new_warehouse_stores_rows_of_a_person_together_in_the_newest_format(built: Settings) -> None:
    """Decision 35: dbt's own statement around that of a model keeps its order."""
    ordered = {
        node["name"]: found[1]
        for node in manifest(built.data_home)["nodes"].values()
        if (found := re.search(r"clustered_by\('(\w+)'\)", node.get("raw_code", "")))
    }
    assert {"int_visits__enriched", "fct_diagnoses", "msr_nec_06"} <= ordered.keys()
    with duckdb.connect(str(built.data_home.warehouse), read_only=True) as connection:
        stored = connection.execute("select tags['storage_version'] from duckdb_databases() where not internal")
        assert stored.fetchall() == [(f"{STORAGE_VERSION}+",)]
        for table, key in ordered.items():
            keys = [row[0] for row in connection.execute(f"select {key} from {table} order by rowid").fetchall()]
            assert len(list(groupby(keys))) == len(set(keys)), table


def test_memory_of_deleted_rows_is_given_back_when_no_statement_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 21: a day deletes a row here and there, and what DuckDB keeps of those is freed by closing alone."""
    path, n_rows = tmp_path / "warehouse.duckdb", 5_000_000
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table spread as select range as id from range({n_rows})")
        connection.execute(f"create table whole as select range as id from range({n_rows})")
        connection.execute("delete from spread where id % 2048 = 7")
    credentials = DuckDBCredentials(database="warehouse", schema="main", path=str(path))
    environment = LocalEnvironment(credentials)
    monkeypatch.setattr(DuckDBConnectionManager, "_ENV", environment)

    def closed_after(statement: str) -> bool:
        handle = environment.handle()
        handle.cursor().execute(statement).fetchall()
        assert not give_back_memory("64MB"), "a statement may still run"
        handle.close()
        return give_back_memory("64MB")

    assert not closed_after("select sum(id) from whole")
    assert closed_after("select sum(id) from spread")
    assert not closed_after("select count(*) from whole")


def test_a_build_goes_on_when_the_warehouse_was_closed_after_each_statement(
    built: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruam.dbt._LANDINGS_IN_MEMORY", 10**12)
    closings = []
    monkeypatch.setattr("ruam.dbt.give_back_memory", lambda _: closings.append(DuckDBConnectionManager.env().close()))
    run_dbt(
        ["build", "--exclude-resource-type", "unit_test", "--select", "models/staging"], built.data_home, batches=[]
    )
    assert len(closings) > 30


def test_a_project_that_was_moved_reads_its_own_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt keeps whole paths of seeds: a new version in another folder would read those of the old, or find none."""
    monkeypatch.delenv("DBT_PARTIAL_PARSE_FILE_PATH", raising=False)
    home = make_country(tmp_path / "country")
    moved = tmp_path / "moved"
    for name in ("dbt_project.yml", "profiles.yml"):
        (moved / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, moved / name)
    for folder in ("models", "macros", "seeds", "tests/dbt"):
        shutil.copytree(PROJECT / folder, moved / folder)
    with monkeypatch.context() as patched:
        patched.setattr("ruam.dbt.PROJECT", moved)
        run_dbt(["seed", "--select", "months"], home, profiles=moved)
    shutil.rmtree(moved)
    run_dbt(["seed", "--select", "months"], home)
    assert manifest(home)["nodes"]["seed.ruam.months"]["root_path"] == str(PROJECT)


@pytest.mark.parametrize(("landings", "folders", "expected"), [(0, None, 2), (10**12, None, 1), (10**12, [], 1)])
def test_where_memory_is_short_for_all_that_landed_one_statement_runs_at_a_time(
    built: Settings, monkeypatch: pytest.MonkeyPatch, landings: int, folders: list[Path] | None, expected: int
) -> None:
    """Also in a build that reads little of it: its statements look at everybody."""
    monkeypatch.setattr("ruam.dbt._LANDINGS_IN_MEMORY", landings)
    run_dbt(["seed"], built.data_home, threads=2, folders=folders)
    results = json.loads((built.data_home.dbt / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    threads = {result["thread_id"] for result in results if result["unique_id"].startswith("seed.")}
    assert len(threads) == expected


def test_what_failed_is_named_and_stands_in_the_log_that_the_message_names(tmp_path: Path) -> None:
    home = DataHome(tmp_path)
    home.create()
    with pytest.raises(BuildError, match=r"model\.ruam\.dim_dates") as caught:
        run_dbt(["run", "--select", "dim_dates"], home)
    log = re.search(r"\(log: (.+)\):", str(caught.value))
    assert log
    assert "dim_dates" in Path(log[1]).read_text(encoding="utf-8")


def test_while_another_process_writes_nothing_is_read(built: Settings) -> None:
    with held_open(built.data_home):
        with pytest.raises(BusyError, match=r"warehouse\.duckdb"):
            last_build_id(built.data_home)
        with pytest.raises(BusyError):
            build(built, full_refresh=True)
    assert is_sound(built.data_home)


def test_a_failed_build_is_told_of_is_not_sound_and_is_made_good_by_the_next(
    built: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = last_build_id(built.data_home)
    land(built.data_home, *BATCHES[1:2])
    with monkeypatch.context() as patched:
        patched.setattr("ruam.build.run_dbt", _fail)
        with pytest.raises(BuildError, match="a test failed"):
            build(built)
    assert not is_sound(built.data_home)
    assert last_build_id(built.data_home) == good
    again = build(built)
    assert (again.skipped, again.is_full_refresh, again.n_batches) == (False, False, 1)
    assert is_sound(built.data_home)


def _fail(*_: object, **__: object) -> None:
    raise BuildError("a test failed")


@pytest.fixture
def kinds(built: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, list[bool]]:
    """A copy whose builds all stop half-way, and whether each of them was one of everything."""
    copy = Settings(home=Path(shutil.copytree(built.home, tmp_path / "home", symlinks=True)))
    full: list[bool] = []

    def stop(arguments: list[str], *_: object, **__: object) -> None:
        full.append("--full-refresh" in arguments)
        raise BuildError("stopped")

    monkeypatch.setattr("ruam.build.run_dbt", stop)
    return copy, full


def test_a_build_of_everything_that_stopped_is_followed_by_one_of_everything(
    kinds: tuple[Settings, list[bool]],
) -> None:
    settings, full = kinds
    land(settings.data_home, *BATCHES[2:])
    for asked in (False, True, False):
        with pytest.raises(BuildError, match="stopped"):
            build(settings, full_refresh=asked)
    assert full == [False, True, True]


def test_another_registry_makes_a_build_of_everything_and_the_log_says_why(
    kinds: tuple[Settings, list[bool]], caplog: pytest.LogCaptureFixture
) -> None:
    settings, full = kinds
    facility = {"hoscode": "10001", "hostype": "05", "provcode": "54", "mcode": "21000"}
    write_registry(settings.data_home, [facility], "20250301T000000-3", date(2025, 3, 1))
    with caplog.at_level(logging.INFO, "ruam"), pytest.raises(BuildError, match="stopped"):
        build(settings)
    assert full == [True]
    assert "reference tables" in caplog.text
