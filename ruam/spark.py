"""Builds on Apache Spark: what they need, a cluster on this machine to try them on, and the tables that they leave."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from ruam.dbt import run_dbt, succeeded
from ruam.errors import SetupError
from ruam.home import DataHome

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
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


def build(home: DataHome, master: str, *, select: list[str] | None = None, threads: int = 2) -> None:
    """Build seeds and models, all or those selected, in full on the cluster at `master`, into `home.spark`.

    What an earlier build left of the same tables is removed when the new ones stand. Raises `SetupError` when
    something is missing, `BuildError` when a model fails.
    """
    require()
    require_master(master)
    home.spark_tables.mkdir(parents=True, exist_ok=True)
    selected = ["--select", *select] if select else []
    command = ["build", "--full-refresh", "--resource-type", "seed", "--resource-type", "model", *selected]
    try:
        run_dbt(command, home, threads=threads, spark_master=master)
    finally:
        _end_session()
        _sweep(home)


def table_files(home: DataHome, table: str) -> str:
    """A glob of the Parquet files of a table as it was built last."""
    folders = sorted((home.spark_tables / table).iterdir(), key=lambda folder: folder.stat().st_mtime)
    return str(folders[-1] / "*.parquet")


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """A standalone cluster on loopback: a master and workers of one core each; gives the master's address.

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
            running.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))  # noqa: S603

    def is_registered() -> bool:
        return (folder / "master.log").read_text(errors="replace").count("Registering worker") >= workers

    try:
        of_master = ("--host", _LOOPBACK, "--port", str(port), "--webui-port", "0")
        start("master", "org.apache.spark.deploy.master.Master", *of_master)
        of_worker = ("--host", _LOOPBACK, "--cores", "1", "--memory", "1200m", "--webui-port", "0")
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
        yield master
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

    if session := SparkSession.getActiveSession():
        session.stop()


def _sweep(home: DataHome) -> None:
    """Remove the directories of tables that the last run has made anew: each run writes one of its own."""
    for table, run in succeeded(home.spark):
        for folder in (home.spark_tables / table).glob("*"):
            if folder.name != run:
                shutil.rmtree(folder)
