"""A Spark cluster on this machine, to try builds on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ruam.errors import SetupError
from ruam.spark import require

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Cluster:
    home: Path
    """Where Spark is installed."""
    environment: dict[str, str]
    """Of all its processes."""
    master: str
    workers: list[subprocess.Popen[bytes]]

    def kill(self, number: int) -> None:
        """Kill a worker and its executors, as when a machine is lost."""
        os.killpg(self.workers[number].pid, signal.SIGKILL)


_SERVERS = {
    "connect": (
        "org.apache.spark.sql.connect.service.SparkConnectServer",
        "sc",
        ("spark.connect.grpc.binding.address", "spark.connect.grpc.binding.port"),
    ),
    "thrift": (
        "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
        "thrift",
        ("spark.hadoop.hive.server2.thrift.bind.host", "spark.hadoop.hive.server2.thrift.port"),
    ),
}
"""By name: class, scheme of its address, and its settings of host and port."""


@contextmanager
def served(cluster: Cluster, kind: str, folder: Path, options: str = "") -> Iterator[str]:
    """A server, `connect` or `thrift`, that drives the cluster; the address by which a build speaks to it.

    `options` are those of its Java. Logs lie in `folder`. Raises `SetupError` when it does not come up.
    """
    class_name, scheme, (of_host, of_port) = _SERVERS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    settings = {
        of_host: _LOOPBACK,
        of_port: port,
        "spark.driver.host": _LOOPBACK,
        "spark.driver.bindAddress": _LOOPBACK,
        "spark.executor.memory": "1g",
        "spark.executor.extraJavaOptions": options,
        "spark.driver.extraJavaOptions": f"-Dderby.stream.error.file={folder / 'derby.log'} {options}",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'metastore'};create=true",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.ui.enabled": "false",
    }
    command = [str(cluster.home / "bin" / "spark-submit"), "--master", cluster.master, "--class", class_name]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    # Spark takes such a server for a daemon, which the driver's setting does not give memory.
    environment = cluster.environment | {"SPARK_DAEMON_MEMORY": "4g"}
    log = folder / f"{kind}.log"
    with log.open("wb") as told:
        server = subprocess.Popen(  # noqa: S603
            [*command, "spark-internal"],
            cwd=folder,
            env=environment,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > until:
                raise SetupError(f"The {kind} server did not come up:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)
        yield f"{scheme}://{_LOOPBACK}:{port}"
    finally:
        _end([server])


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((_LOOPBACK, port)) == 0


@contextmanager
def started(folder: Path, workers: int = 2, memory: str = "1200m") -> Iterator[Cluster]:
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
        yield Cluster(spark_home, environment, master, running[1:])
    finally:
        _end(running)


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(running):
        process.terminate()
    for process in running:
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port
