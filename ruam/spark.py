"""Builds on Apache Spark: what they need, and the tables that they leave."""

from __future__ import annotations

import os
import shutil
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb

from ruam.dbt import Progress, run_dbt
from ruam.errors import BuildError, SetupError
from ruam.home import DataHome
from ruam.spark_address import server_of, target_of

_PATIENCE_SECONDS = 120.0
"""For how long a cluster may leave a build without an executor. Spark itself waits without end."""


_NEEDED = {
    "spark": ("dbt.adapters.spark", "pyspark"),
    "spark_connect": ("dbt.adapters.spark", "pyspark", "grpc", "grpc_status", "zstandard"),
    "spark_thrift": ("dbt.adapters.spark", "pyhive", "thrift", "thrift_sasl", "puresasl"),
}
"""Modules by target of dbt."""


def require(address: str = "local") -> None:
    """Raises `SetupError` when packages of the extra `spark`, or Java, are missing that builds with a cluster at that
    address need: says what to install. Who speaks to a server (`sc://`, `thrift://`) needs no Java."""
    if missing := [name for name in _NEEDED[target_of(address)] if not _is_there(name)]:
        raise SetupError(
            f"Builds on Spark need packages that are not installed ({', '.join(missing)}): "
            "install those of the extra `spark` in pyproject.toml, as `make spark` does."
        )
    if target_of(address) == "spark" and not _java():
        raise SetupError(
            "Spark needs Java 17 or later, and there is none: install Debian's default-jre-headless "
            "(as root: apt-get install default-jre-headless), or set JAVA_HOME to where it is."
        )


def require_answer(address: str) -> None:
    """Raises `SetupError` when nothing answers at `spark://HOST:PORT[,HOST:PORT]`, `sc://HOST[:PORT]` or
    `thrift://HOST[:PORT]`; other kinds of address (`local[2]`, `yarn`, `k8s://...`) are Spark's to judge."""
    scheme, _, places = address.partition("://")
    if scheme == "spark" and not any(_answers(place) for place in places.split(",")):
        raise SetupError(
            f"No Spark master answers at {address}. Start the cluster, or name another by RUAM_SPARK_MASTER; "
            "`make spark` starts one of its own on this machine."
        )
    server = server_of(address)
    if server and not _answers(f"{server[0]}:{server[1]}"):
        raise SetupError(
            f"No Spark server answers at {address}. Start it (docs/how-to/spark.md), or name another by "
            "RUAM_SPARK_MASTER."
        )


def build(
    home: DataHome,
    master: str,
    *,
    select: list[str] | None = None,
    threads: int = 2,
    progress: Progress = lambda *_: None,
) -> None:
    """Build seeds and models, all or those selected, in full on the cluster at `master`, into `home.spark`.

    Each build of a table lies in a folder of its own; what earlier ones left stays until `show`. Raises `SetupError`
    when something is missing or no worker has enough memory free, `BuildError` when a model fails.
    """
    selected = ["--select", *select] if select else []
    command = ["build", "--full-refresh", "--resource-type", "seed", "--resource-type", "model", *selected]
    run(command, home, master, threads=threads, progress=progress)


def run(
    command: list[str],
    home: DataHome,
    master: str,
    *,
    threads: int = 2,
    progress: Progress = lambda *_: None,
) -> None:
    """Run one dbt command on the cluster at `master`. Raises as `build` does."""
    require(master)
    require_answer(master)
    home.spark_tables.mkdir(parents=True, exist_ok=True)
    # The adapter asks for Hive's catalogue before each statement; a Connect server has its own, and says so each time.
    warnings.filterwarnings("ignore", r"Failed to set spark\.sql\.catalogImplementation")
    try:
        with executors_awaited(master):
            run_dbt(command, home, threads=threads, progress=progress, spark_master=master)
    finally:
        _end_session(master)


def show(home: DataHome) -> None:
    """Make the tables of the last builds on Spark those of `home.warehouse`, which then is a list of views over them:
    whatever reads the warehouse, tests and `ruam publish` among them, reads Spark's tables. What earlier builds of
    them left is removed."""
    newest = {name: _newest(home, name) for name in tables(home)}
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("begin")
        held = connection.execute("""
            select table_type = 'VIEW', table_name from information_schema.tables where table_schema = 'main'
        """).fetchall()
        for is_view, name in held:
            connection.execute(f'drop {"view" if is_view else "table"} "{name}"')
        for name, folder in newest.items():
            files = str(folder / "*.parquet").replace("'", "''")
            connection.execute(f"create view \"{name}\" as select * from read_parquet('{files}')")
        connection.execute("commit")
    for folder in newest.values():
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other)


def tables(home: DataHome) -> list[str]:
    """Names of the tables that builds on Spark left."""
    return sorted({path.parent.parent.name for path in home.spark_tables.glob("*/*/*.parquet")})


def _newest(home: DataHome, table: str) -> Path:
    """The folder of a table as it was built last."""
    return max((home.spark_tables / table).iterdir(), key=lambda folder: folder.stat().st_mtime_ns)


@contextmanager
def executors_awaited(
    master: str, patience: float = _PATIENCE_SECONDS, context: Callable[[], Any] | None = None
) -> Iterator[None]:
    """Raises `SetupError` in place of the error of what ran within, when the cluster left it without an executor.

    Its jobs are cancelled when that has lasted for `patience` seconds. `context` gives Spark's own `SparkContext` once
    there is one, by default that of this process. Of a cluster that a server drives nothing is seen here: its own
    settings say how long a statement waits.
    """
    ended, starved = Event(), Event()
    watch = Thread(target=_watch, args=(context or _context, patience, ended, starved), daemon=True)
    if target_of(master) == "spark" and not master.startswith("local"):
        watch.start()
    try:
        yield
    except BuildError as error:
        if not starved.is_set():
            raise
        memory = os.environ.get("RUAM_SPARK_EXECUTOR_MEMORY", "1g")
        raise SetupError(
            f"The Spark cluster at {master} gave no executor for {patience:.0f} s: no worker has {memory} of memory "
            "and a core free. Give its workers more (SPARK_WORKER_MEMORY, SPARK_WORKER_CORES), end what else runs "
            "there, or ask for less by RUAM_SPARK_EXECUTOR_MEMORY."
        ) from error
    finally:
        ended.set()
        if watch.ident:
            watch.join()


def _watch(context: Callable[[], Any], patience: float, ended: Event, starved: Event) -> None:
    until = None
    while not ended.wait(min(1.0, patience / 10)):
        running = context()
        # The driver counts as one.
        if running is None or running.getExecutorMemoryStatus().size() > 1:
            until = None
        elif until is None:
            until = time.monotonic() + patience
        elif time.monotonic() > until:
            starved.set()
            running.cancelAllJobs()


def _context() -> Any:
    from pyspark import SparkContext

    # It is active before it has begun, and has no Java side then, nor when it has ended.
    started = getattr(SparkContext._active_spark_context, "_jsc", None)
    return started.sc() if started is not None else None


def _is_there(module: str) -> bool:
    with suppress(ModuleNotFoundError):
        return find_spec(module) is not None
    return False


def _java() -> str | None:
    named = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=str(Path(named) / "bin")) if named else shutil.which("java")


def _answers(place: str) -> bool:
    host, _, port = place.rpartition(":")
    with suppress(OSError, ValueError), socket.create_connection((host, int(port)), timeout=5):
        return True
    return False


def _end_session(master: str) -> None:
    """The adapter's session lives as long as the process, and holds the cluster's cores and the metastore."""
    kind = target_of(master)
    if kind == "spark":
        from pyspark.sql import SparkSession

        # Not the active one: that is each thread's own, and dbt has threads for its nodes.
        if session := SparkSession._instantiatedSession:
            session.stop()
    elif kind == "spark_connect":
        from pyspark.sql.connect.session import SparkSession as RemoteSession

        if remote := RemoteSession._get_default_session():
            remote.stop()
        # Left by pyspark, it would make every later session of this process a remote one.
        os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
