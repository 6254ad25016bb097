"""Builds on Apache Spark: what they need, a cluster on this machine to try them on, and the tables that they leave."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb

from ruam.dbt import Progress, run_dbt
from ruam.errors import BuildError, SetupError
from ruam.home import DataHome

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_PATIENCE_SECONDS = 120.0
"""For how long a cluster may leave a build without an executor. Spark itself waits without end."""
_LOOPBACK = "127.0.0.1"


def require() -> None:
    """Raises `SetupError` when Java or the packages of the extra `spark` are missing: says what to install."""
    if missing := [name for name in ("pyspark", "dbt.adapters.spark") if not _is_there(name)]:
        raise SetupError(
            f"Builds on Spark need packages that are not installed ({', '.join(missing)}): "
            "install those of the extra `spark` in pyproject.toml, as `make spark` does."
        )
    if not _java():
        raise SetupError(
            "Spark needs Java 17 or later, and there is none: install Debian's default-jre-headless "
            "(as root: apt-get install default-jre-headless), or set JAVA_HOME to where it is."
        )


def require_master(master: str) -> None:
    """Raises `SetupError` when none of the masters of `spark://HOST:PORT[,HOST:PORT]` answers; other kinds of address
    (`local[2]`, `yarn`, `k8s://...`) are Spark's to judge."""
    scheme, _, places = master.partition("://")
    if scheme == "spark" and not any(_answers(place) for place in places.split(",")):
        raise SetupError(
            f"No Spark master answers at {master}. Start the cluster, or name another by RUAM_SPARK_MASTER; "
            "`make spark` starts one of its own on this machine."
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
    require()
    require_master(master)
    home.spark_tables.mkdir(parents=True, exist_ok=True)
    selected = ["--select", *select] if select else []
    command = ["build", "--full-refresh", "--resource-type", "seed", "--resource-type", "model", *selected]
    try:
        with executors_awaited(master):
            run_dbt(command, home, threads=threads, progress=progress, spark_master=master)
    finally:
        _end_session()


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
    there is one, by default that of this process.
    """
    ended, starved = Event(), Event()
    watch = Thread(target=_watch, args=(context or _context, patience, ended, starved), daemon=True)
    if not master.startswith("local"):
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


@dataclass(frozen=True)
class Cluster:
    master: str
    workers: list[subprocess.Popen[bytes]]

    def kill(self, number: int) -> None:
        """Kill a worker and its executors, as when a machine is lost."""
        os.killpg(self.workers[number].pid, signal.SIGKILL)


@contextmanager
def cluster(folder: Path, workers: int = 2, memory: str = "1200m") -> Iterator[Cluster]:
    """A standalone cluster on loopback: a master and workers of one core each, with `memory` for their executors.

    Logs lie in `folder`. All processes end with the context. Raises `SetupError` when it does not come up.
    """
    require()
    from pyspark.find_spark_home import _find_spark_home

    folder.mkdir(parents=True, exist_ok=True)
    spark_home = Path(_find_spark_home())
    environment = {
        **os.environ,
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": _LOOPBACK,
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dspark.master.rest.enabled=false",
        "PYSPARK_PYTHON": sys.executable,
    }
    port = _free_port()
    master = f"spark://{_LOOPBACK}:{port}"
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> None:
        command = [str(spark_home / "bin" / "spark-class"), *arguments]
        with (folder / f"{name}.log").open("wb") as log:
            running.append(
                # A group of its own, so that a worker and its executors can be ended together.
                subprocess.Popen(  # noqa: S603
                    command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            )

    def is_registered() -> bool:
        return (folder / "master.log").read_text(errors="replace").count("Registering worker") >= workers

    try:
        of_master = ("--host", _LOOPBACK, "--port", str(port), "--webui-port", "0")
        start("master", "org.apache.spark.deploy.master.Master", *of_master)
        of_worker = ("--host", _LOOPBACK, "--cores", "1", "--memory", memory, "--webui-port", "0")
        for number in range(1, workers + 1):
            work = ("--work-dir", str(folder / f"work-{number}"), master)
            start(f"worker-{number}", "org.apache.spark.deploy.worker.Worker", *of_worker, *work)
        until = time.monotonic() + _START_SECONDS
        while not is_registered():
            if any(process.poll() is not None for process in running) or time.monotonic() > until:
                raise SetupError(
                    f"The Spark cluster did not come up within {_START_SECONDS:.0f} s: see {folder}/*.log."
                )
            time.sleep(0.2)
        yield Cluster(master, running[1:])
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port


def _end_session() -> None:
    """The adapter's session lives as long as the process, and holds the cluster's cores and the metastore."""
    from pyspark.sql import SparkSession

    # Not the active one: that is each thread's own, and dbt has threads for its nodes.
    if session := SparkSession._instantiatedSession:
        session.stop()
