from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event

import duckdb
import pytest

from ruam import build as building
from ruam import spark
from ruam.build import build, built_batches, is_sound, last_build_id
from ruam.errors import BuildError, SetupError
from ruam.home import DataHome
from ruam.settings import Settings
from ruam.spark_address import server_of
from tests.spark.parity import Table, differences, tables_of


def test_without_its_packages_spark_is_not_there_and_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(SetupError, match=r"pyspark.*extra `spark`.*make spark"):
        spark.require()


def test_without_java_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spark, "_is_there", lambda _: True)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"Java 17.*default-jre-headless.*JAVA_HOME"):
        spark.require()


def test_a_java_home_without_java_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spark, "_is_there", lambda _: True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match="JAVA_HOME"):
        spark.require()


@pytest.mark.parametrize(
    ("address", "package"), [("sc://one:15002", "grpc"), ("thrift://one", "pyhive"), ("spark://one:7077", "pyspark")]
)
def test_each_kind_of_address_names_the_packages_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, address: str, package: str
) -> None:
    monkeypatch.setattr(spark, "_is_there", lambda name: name != package)
    with pytest.raises(SetupError, match=rf"\({package}\).*extra `spark`"):
        spark.require(address)


def test_who_speaks_to_a_server_needs_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "_is_there", lambda _: True)
    monkeypatch.setattr(spark, "_java", lambda: None)
    spark.require("sc://one:15002")
    spark.require("thrift://one:10000")
    with pytest.raises(SetupError, match="Java 17"):
        spark.require("yarn")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("spark://127.0.0.1:1,127.0.0.1:2", r"No Spark master answers at spark://127\.0\.0\.1:1.*RUAM_SPARK_MASTER"),
        ("sc://127.0.0.1:1/;user_id=ruam", r"No Spark server answers at sc://127\.0\.0\.1:1.*RUAM_SPARK_MASTER"),
        ("thrift://127.0.0.1:1", r"No Spark server answers at thrift://127\.0\.0\.1:1.*RUAM_SPARK_MASTER"),
    ],
)
def test_where_nothing_answers_is_named(address: str, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        spark.require_answer(address)


@pytest.mark.parametrize("address", ["thrift://", "sc://one:many", "thrift://one:99999"])
def test_an_address_that_names_no_place_is_told(address: str) -> None:
    with pytest.raises(SetupError, match=r"is no address of a Spark server.*://HOST:PORT"):
        spark.require_answer(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("sc://one/;token=x", ("one", 15002)),
        ("thrift://two:4", ("two", 4)),
        ("yarn", None),
        ("spark://one:1,two:2", None),
    ],
)
def test_a_server_has_a_place_and_a_master_none(address: str, expected: tuple[str, int] | None) -> None:
    assert server_of(address) == expected


def test_what_spark_itself_judges_is_left_to_it() -> None:
    spark.require_answer("local[2]")
    spark.require_answer("k8s://https://127.0.0.1:1")


class _Context:
    """Of Spark's context, what a build watches: a driver and its executors."""

    def __init__(self, n_executors: int) -> None:
        self.n_executors = n_executors
        self.is_cancelled = Event()

    def getExecutorMemoryStatus(self) -> _Context:  # noqa: N802
        return self

    def size(self) -> int:
        return 1 + self.n_executors

    def cancelAllJobs(self) -> None:  # noqa: N802
        self.is_cancelled.set()


def _run(context: _Context, seconds: float, then: str = "") -> None:
    """A run that fails when it is cancelled, or of something else `then`."""
    if context.is_cancelled.wait(seconds):
        raise BuildError("cancelled")
    if then:
        raise BuildError(then)


def test_a_cluster_without_a_worker_of_enough_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUAM_SPARK_EXECUTOR_MEMORY", "64g")
    context = _Context(n_executors=0)
    with (
        pytest.raises(SetupError, match=r"spark://one:7077 gave no executor.*64g.*RUAM_SPARK_EXECUTOR_MEMORY"),
        spark.executors_awaited("spark://one:7077", patience=0.05, context=lambda: context),
    ):
        _run(context, 30)


def test_what_else_fails_on_a_cluster_with_executors_is_told_as_it_is() -> None:
    context = _Context(n_executors=1)
    with (
        pytest.raises(BuildError, match="a model"),
        spark.executors_awaited("spark://one:7077", patience=0.05, context=lambda: context),
    ):
        _run(context, 0.3, then="a model")


@pytest.mark.parametrize("address", ["local[2]", "sc://one:15002", "thrift://one:10000"])
def test_a_build_whose_executors_are_not_seen_waits_for_none(address: str) -> None:
    context = _Context(n_executors=0)
    with spark.executors_awaited(address, patience=0.05, context=lambda: context):
        _run(context, 0.3)


@pytest.fixture
def home(tmp_path: Path) -> DataHome:
    """Tables of both engines that are equal, with a test that names the key of one."""
    home = DataHome(tmp_path)
    (home.dbt / "target").mkdir(parents=True)
    nodes = {
        f"model.ruam.{name}": {
            "name": name,
            "resource_type": "model",
            "fqn": ["ruam", "marts", name],
            "config": {"materialized": "ephemeral" if name == "part" else "table"},
        }
        for name in ("keyed", "keyless", "part")
    }
    nodes["test.ruam.of_keyed"] = {
        "name": "of_keyed",
        "resource_type": "test",
        "config": {"materialized": "test"},
        "attached_node": "model.ruam.keyed",
        "test_metadata": {"name": "unique_combination", "kwargs": {"columns": ["coalesce(a, 0)", "b"]}},
    }
    (home.dbt / "target" / "manifest.json").write_text(json.dumps({"nodes": nodes}))
    with duckdb.connect(str(home.warehouse)) as connection:
        for name in ("keyed", "keyless"):
            connection.execute(f"create table {name} as {_ROWS}")
            _on_spark(home, name, _ROWS)
    return home


_ROWS = "select * from (values (1, 'x', 0.1::double), (2, null, 1e9), (3, 'z', null)) as t(a, b, c)"


def _on_spark(home: DataHome, table: str, rows: str, run: str = "run") -> None:
    folder = home.spark_tables / table / run
    folder.mkdir(parents=True, exist_ok=True)
    duckdb.sql(f"copy ({rows}) to '{folder / 'part.parquet'}'")


def _found(home: DataHome) -> list[str]:
    """What differs; Spark's tables are seen as the views over them that a warehouse is made of."""
    built = home.warehouse.rename(home.root / "built.duckdb")
    spark.show(home)
    return [str(difference) for difference in differences(built, home.warehouse, tables_of(home))]


def test_a_table_has_its_layer_and_the_key_that_its_tests_name(home: DataHome) -> None:
    assert tables_of(home) == [Table("keyed", "marts", ("coalesce(a, 0)", "b")), Table("keyless", "marts")]


def test_spark_tables_take_the_place_of_what_the_warehouse_held(home: DataHome) -> None:
    _on_spark(home, "keyed", "select 7 as a")
    spark.show(home)
    _on_spark(home, "keyed", "select 8 as a", run="newer")
    spark.show(home)
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        assert connection.execute("select * from keyed").fetchall() == [(8,)]
        kinds = connection.execute("select distinct table_type from information_schema.tables").fetchall()
    assert kinds == [("VIEW",)]
    assert [folder.name for folder in (home.spark_tables / "keyed").iterdir()] == ["newer"]


def test_equal_tables_do_not_differ(home: DataHome) -> None:
    assert _found(home) == []


def test_sums_in_another_order_do_not_differ(home: DataHome) -> None:
    _on_spark(home, "keyed", "select a, b, c * (1 + 1e-13) as c from (" + _ROWS + ")")
    assert _found(home) == []


def test_a_value_that_differs_is_told_with_its_key(home: DataHome) -> None:
    _on_spark(home, "keyed", "select a, b, coalesce(c, 0) as c from (" + _ROWS + ")")
    assert _found(home) == ["keyed: 1 rows differ in c (key, DuckDB, Spark): 3 | z | null | 0.0"]


def test_rows_on_one_engine_alone_are_told(home: DataHome) -> None:
    _on_spark(home, "keyed", _ROWS + " where a < 3")
    _on_spark(home, "keyless", _ROWS + " union all select 4, 'w', 4")
    assert _found(home) == [
        "keyed: 1 keys on DuckDB alone: 3 | z",
        "keyless: 1 rows on Spark alone: 4 | w | 4.0",
    ]


def test_a_key_that_stands_twice_is_told_and_rows_are_compared(home: DataHome) -> None:
    _on_spark(home, "keyed", _ROWS + " union all select 3, 'z', null")
    assert _found(home) == [
        "keyed: coalesce(a, 0), b is no key on both engines",
        "keyed: 1 rows on Spark alone: 3 | z | null",
    ]


def test_a_table_or_column_that_is_missing_is_told(home: DataHome) -> None:
    _on_spark(home, "keyed", "select a, b from (" + _ROWS + ")")
    for path in home.spark_tables.glob("keyless/run/*"):
        path.unlink()
    assert _found(home) == ["keyed: columns on one engine alone: c", "keyless: not on Spark"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is asked of dbt on DuckDB, which does nothing; Spark builds one table."""
    asked: list[list[str]] = []
    monkeypatch.setattr(building, "run_dbt", lambda command, *_, **__: asked.append(command))
    monkeypatch.setattr(building, "_note_findings", lambda *_: None)
    monkeypatch.setattr(spark, "build", lambda home, *_, **__: _on_spark(home, "fct_visits", _ROWS))
    return asked


def test_a_build_on_spark_is_full_and_duckdb_tests_what_it_made(settings: Settings, commands: list[list[str]]) -> None:
    home = settings.data_home
    done = build(settings.model_copy(update={"spark_master": "local[2]"}))
    assert done.is_full_refresh
    assert is_sound(home)
    assert last_build_id(home) == done.build_id
    assert built_batches(home)
    assert commands == [["build", "--exclude-resource-type", "unit_test", "--full-refresh", "--resource-type", "test"]]
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        assert connection.execute("select count(*) from fct_visits").fetchone() == (3,)


def test_after_a_build_on_spark_duckdb_builds_everything_anew(
    settings: Settings, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_spark = settings.model_copy(update={"spark_master": "local[2]"})
    assert not build(on_spark).skipped
    assert build(on_spark).skipped
    monkeypatch.setattr(building, "_FORGET_CHANGES", "select 1")  # Of tables that this dbt has not made.
    assert build(settings).is_full_refresh
    assert commands[-1] == ["build", "--exclude-resource-type", "unit_test", "--full-refresh"]


def test_a_build_that_lacks_something_of_spark_leaves_the_warehouse_as_it_was(
    settings: Settings, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_spark = settings.model_copy(update={"spark_master": "local[2]"})
    done = build(on_spark)

    def fail(*_: object, **__: object) -> None:
        raise SetupError("Spark needs Java 17 or later")

    monkeypatch.setattr(spark, "build", fail)
    with pytest.raises(SetupError, match="Java 17"):
        build(on_spark, full_refresh=True)
    assert is_sound(settings.data_home)
    assert last_build_id(settings.data_home) == done.build_id
    assert len(commands) == 1
