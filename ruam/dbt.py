"""The only module that runs dbt (in this process) and reads what it leaves in `target/`."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from ruam import findings
from ruam.errors import BuildError
from ruam.home import DataHome
from ruam.landing import holds, reading
from ruam.log import kept_in
from ruam.settings import PROJECT
from ruam.spark_address import server_of, target_of

Progress = Callable[[int, int], None]
"""Called with how many nodes of the build are done, and how many there are."""

STORAGE_VERSION = "v1.5.0"
"""DuckDB's oldest version that reads a new warehouse. Its default, 1.0, knows less of compression (decision 35)."""

_LOGGED = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_LANDINGS_IN_MEMORY = 10
"""Statements run side by side where the memory limit is so many times as large as the landing. Two of the widest joins
of 20 million visits (1.1 GB landed) failed together at 5 GB, and held alone; of 5 million (0.3 GB) they held."""


def statements_at_once(landed: int, memory_limit: str, threads: int) -> int:
    """How many statements a build runs side by side, of so many bytes of landing: they share one limit of memory.

    Each statement has all threads in either case. A limit whose unit is not known (`80%`) is taken to be enough.
    """
    limit = _bytes_of(memory_limit)
    return threads if limit is None or limit >= _LANDINGS_IN_MEMORY * landed else 1


def block_memory(memory_limit: str) -> str:
    """How much of its blocks of 256 KB DuckDB takes from one reserved region, where freed blocks are used again.

    From the C library each block costs the kernel's zeroing of its pages, time after time: a tenth of the CPU of large
    statements (decision 36). Four fifths of the limit, for what is no block comes from the C library. In bytes, always:
    DuckDB 1.5.5 ends the process when the setting is a share. Where the limit's unit is not known, nothing is reserved.
    """
    return f"{(_bytes_of(memory_limit) or 0) * 4 // 5}B"


def _bytes_of(memory_limit: str) -> int | None:
    told = re.fullmatch(r"\s*([\d.]+)\s*([KMGT]I?B)\s*", memory_limit.upper())
    return None if told is None else int(float(told[1]) * _UNITS[told[2]])


def give_back_memory(memory_limit: str) -> bool:
    """Close the warehouse between two nodes where it holds half of the limit and cannot let it go, and say whether it
    was closed; dbt opens it again.

    DuckDB keeps 16 KB for each 2,048 rows of which any was deleted, from when they are first read until the file is
    closed (decision 21). A day deletes a few rows of nearly every such part of every table. No statement may run.
    """
    import duckdb
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.duckdb.environments.local import LocalEnvironment

    environment, limit = DuckDBConnectionManager.env(), _bytes_of(memory_limit)
    if (
        not isinstance(environment, LocalEnvironment)
        or environment.conn is None
        or environment.handle_count
        or not limit
    ):
        return False
    connection = environment.conn
    held = connection.execute("select sum(memory_usage_bytes) from duckdb_memory()").fetchone()
    if not held or held[0] < limit // 2:
        return False
    try:
        connection.execute(f"set memory_limit = '{limit // 2}B'")
    except duckdb.OutOfMemoryException:
        environment.close()
        return True
    connection.execute(f"set memory_limit = '{limit}B'")
    return False


def run_dbt(
    arguments: list[str],
    home: DataHome,
    *,
    threads: int = 2,
    memory_limit: str = "4GB",
    batches: Collection[str] | None = None,
    folders: Collection[Path] | None = None,
    progress: Progress = lambda *_: None,
    spark_master: str | None = None,
    profiles: Path = PROJECT,
) -> None:
    """Run one dbt command of this project against a data home, on DuckDB or on the Spark cluster at `spark_master`.

    Staging reads `batches` of the landing's `folders`, by default all that are committed; a caller who names folders
    holds them meanwhile (`ruam.landing.reading`). `profiles` is the folder of the profile to go by. Raises `BuildError`
    naming each node that failed and why.
    """
    # dbt takes seconds to import; commands that do not build must not wait for it.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    counted = [0, 0]

    def follow(event: Any) -> None:
        if event.info.level in _LOGGED:
            log.log(_LOGGED[event.info.level], "%s", event.info.msg)
        if event.info.name == "ConcurrencyLine":
            counted[1] = event.data.node_count
        elif event.info.name == "NodeFinished":
            counted[0] += 1
            progress(counted[0], max(counted))
            if at_once == 1 and not spark_master:
                give_back_memory(memory_limit)

    artifacts = home.spark if spark_master else home.dbt
    _forget_other_project(artifacts)
    command = [
        *("--log-level", "none", "--log-level-file", "none", "--no-use-colors"),
        *arguments,
        *("--target", target_of(spark_master) if spark_master else "duckdb"),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(profiles)),
        *("--target-path", str(artifacts / "target"), "--log-path", str(artifacts / "logs")),
    ]
    with reading(home.landing) as committed:
        shown = committed if folders is None else folders
        # Of a day, too, statements look at everybody: what counts is all that was ever landed.
        landed = sum(path.stat().st_size for folder in committed for path in folder.glob("*.parquet"))
        _show(home, shown, batches)
        at_once = statements_at_once(landed, memory_limit, threads)
        with (
            _environment(home, threads, at_once, memory_limit, spark_master),
            _log(artifacts / "logs" / "dbt.log") as log,
        ):
            try:
                result = dbtRunner(callbacks=[follow]).invoke(command)
            finally:
                # The adapter holds the file open for the life of the process; the next step needs it.
                DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not result.success:
        failed = [] if result.exception else _failed(artifacts)
        lines = [f"  {node['unique_id']}: {message}" for node, message in failed]
        detail = "\n".join(lines) or str(result.exception or "see the log")
        raise BuildError(f"The build failed (log: {artifacts / 'logs' / 'dbt.log'}):\n{detail}", failed)


@contextmanager
def _log(path: Path) -> Iterator[logging.Logger]:
    """A log of what dbt tells, from its events, in UTC.

    dbt's own writes out every event of debugging before it looks whether the level asks for it: 3 % of a small build.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    formatter = logging.Formatter("%(asctime)sZ [%(levelname)s] %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = kept_in(path, formatter)
    log = logging.Logger("dbt")
    log.addHandler(handler)
    try:
        yield log
    finally:
        handler.close()


def _forget_other_project(artifacts: Path) -> None:
    """What dbt keeps of its parsing names seeds by whole paths, and is not told when the project lies elsewhere."""
    told = artifacts / "project"
    if not told.exists() or told.read_text(encoding="utf-8") != str(PROJECT):
        (artifacts / "target" / "partial_parse.msgpack").unlink(missing_ok=True)
        artifacts.mkdir(parents=True, exist_ok=True)
        told.write_text(str(PROJECT), encoding="utf-8")


def _show(home: DataHome, folders: Collection[Path], batches: Collection[str] | None) -> None:
    """Make `landing_view` hold one link to each folder, so that a plain glob finds what counts and nothing else, and
    beside them a table of the batches that are to be read, and what earlier builds saw of findings. As a variable, dbt
    would parse the whole project anew for them."""
    view = home.landing_view
    shutil.rmtree(view, ignore_errors=True)
    wanted = frozenset[str]().union(*map(holds, folders)) if batches is None else batches
    build = view / "this-build"
    build.mkdir(parents=True)
    pl.DataFrame({"batch": sorted(wanted)}, schema={"batch": pl.String}).write_parquet(build / "new_batches.parquet")
    findings.show(home, build / "finding_events.parquet")
    for folder in folders:
        (view / folder.name).symlink_to(folder)


@contextmanager
def _environment(
    home: DataHome, threads: int, at_once: int, memory_limit: str, spark_master: str | None
) -> Iterator[None]:
    """What `profiles.yml` and the sources read. Where Spark's catalogue is may be set by who runs it."""
    settings = {
        "RUAM_HOME_DIR": str(home.root),
        "RUAM_WAREHOUSE": str(home.warehouse),
        "RUAM_SPILL": str(home.spill),
        "RUAM_THREADS": str(threads),
        "RUAM_STATEMENTS": str(at_once),
        "RUAM_MEMORY_LIMIT": memory_limit,
        "RUAM_BLOCK_MEMORY": block_memory(memory_limit),
        "RUAM_STORAGE_VERSION": STORAGE_VERSION,
        "DO_NOT_TRACK": "1",
    }
    if spark_master:
        settings |= {
            "RUAM_SPARK_MASTER": spark_master,
            "RUAM_SPARK_TABLES": str(home.spark_tables),
            "RUAM_SPARK_METASTORE": os.environ.get(
                "RUAM_SPARK_METASTORE", f"jdbc:derby:;databaseName={home.spark / 'metastore'};create=true"
            ),
        }
        if server := server_of(spark_master):
            settings |= {"RUAM_SPARK_HOST": server[0], "RUAM_SPARK_PORT": str(server[1])}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _artifact(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "target" / name
    artifact: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return artifact


def manifest(home: DataHome) -> dict[str, Any]:
    """dbt's `manifest.json` of the last run against this home; empty when there is none."""
    return _artifact(home.dbt, "manifest.json")


def _failed(folder: Path) -> list[tuple[dict[str, Any], str]]:
    """Node of the manifest and message of each node of the last run that failed."""
    nodes = _artifact(folder, "manifest.json").get("nodes", {})
    return [
        (nodes.get(result["unique_id"], _unknown(result["unique_id"])), " ".join(str(result["message"]).split()))
        for result in _artifact(folder, "run_results.json").get("results", [])
        if result["status"] in ("error", "fail", "runtime error")
    ]


def _unknown(unique_id: str) -> dict[str, Any]:
    kind, _, name = unique_id.partition(".")
    return {"unique_id": unique_id, "resource_type": kind, "name": name, "config": {}}
