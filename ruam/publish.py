"""Publish: a new read-only file of disclosure-controlled marts per run, then an atomic switch of the pointer.

Beside it lies the file of the data stewards (`ruam.stewards`), which the same pointer names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from ruam import __version__, gates
from ruam.build import built_batches, is_sound, last_build_id, waiting_since
from ruam.dbt import manifest
from ruam.disclosure import BASE, RULE, THRESHOLD, controlled_sql, withheld_sql
from ruam.errors import PublishError
from ruam.files import locked, replacing, stamp, sync_folder
from ruam.home import DataHome
from ruam.lattice import Lattice, withhold
from ruam.settings import FRESH_HOURS
from ruam.stable import create_views, stable_schema
from ruam.stewards import FILE as STEWARDS

POINTER = "current.json"
KEPT_FILES = 5
"""Readers may still hold an older file; more than this many are history, and the build can make them again."""


@dataclass(frozen=True)
class Mart:
    """A model to publish: its relation in the warehouse, its columns, and which of them are counts."""

    name: str
    schema: str
    columns: list[str]
    counts: frozenset[str]
    derived: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns worked out of counts, with those: each is null where one of them is not shown."""
    lattice: Lattice | None = None
    """What its rows are totals and parts of, where a reader could hold one against another."""


@dataclass(frozen=True)
class Publication:
    run_id: str
    path: Path
    n_tables: int
    n_rows: int


def publish(home: DataHome, fresh: timedelta = timedelta(hours=FRESH_HOURS)) -> Publication:
    """Write the serving file and switch to it, if every gate is open (`ruam/gates.yml`).

    Raises `PublishError` when the last build did not succeed, a checkpoint failed or did not see it, what was landed
    waits for longer than `fresh`, nothing is marked for publishing, or the new file breaks the disclosure rule; the
    file in service then stays, with the reason beside it.
    """
    home.require()
    with (
        locked(home.serving / ".lock", "Publishing"),
        locked(home.root / ".build.lock", f"The warehouse {home.warehouse}"),
    ):
        now = datetime.now(UTC).replace(tzinfo=None)
        if not is_sound(home):
            if gates.stopped(home) is None and home.warehouse.exists():
                gates.record(home, last_build_id(home), [gates.Stop(gate=gates.BUILD, detail="it did not end")])
            raise PublishError("The last build did not succeed, so nothing is published. Run `ruam build` first.")
        build_id = last_build_id(home)
        _require_open(home, build_id, now, fresh)
        marts = published_marts(manifest(home))
        if not marts:
            raise PublishError("No model is marked `publish: true` in the build's manifest. Run `ruam build` first.")
        run_id = f"{stamp(now)}-{build_id[-8:]}"
        final = home.serving / f"ruam_{run_id}.duckdb"
        try:
            with replacing(final) as temporary:
                n_rows = _write(temporary, home.warehouse, marts, run_id, now)
        except PublishError as error:
            gates.record(home, build_id, [gates.Stop(gate=gates.DISCLOSURE, detail=str(error))])
            raise
        told = {"file": final.name, "run_id": run_id, "published_at": f"{now.isoformat()}Z"}
        stewards = home.serving / STEWARDS.format(run_id=run_id)
        if rows := _rows_for_stewards(manifest(home)):
            with replacing(stewards) as temporary:
                _write_for_stewards(temporary, home.warehouse, rows)
            told["stewards"] = stewards.name
        with replacing(home.serving / POINTER) as pointer:
            pointer.write_text(json.dumps(told), encoding="utf-8")
        gates.lift(home)
        _retire(home.serving, final, stewards)
    return Publication(run_id, final, len(marts), n_rows)


def _require_open(home: DataHome, build_id: str, now: datetime, fresh: timedelta) -> None:
    """Raise `PublishError`, and write down why, unless every gate is open."""
    stops = [
        *gates.of_checks(home, build_id, frozenset(built_batches(home))),
        *gates.of_freshness(waiting_since(home), now, fresh),
    ]
    if stops:
        gates.record(home, build_id, stops)
        told = "\n".join(f"  {one.gate}: {gates.gates()[one.gate].en} {one.detail}" for one in stops)
        raise PublishError(f"The gates before publishing are shut; the last version stays.\n{told}")


def current(home: DataHome) -> dict[str, Any] | None:
    """The pointer (`file`, `stewards`, `run_id`, `published_at`), or None when nothing was published yet."""
    path = home.serving / POINTER
    if not path.exists():
        return None
    pointer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return pointer


def published_to(home: DataHome) -> date | None:
    """Last day of service in the published file; None when nothing is published, or no visit was."""
    pointer = current(home)
    if pointer is None or not (home.serving / pointer["file"]).is_file():
        return None
    with duckdb.connect(str(home.serving / pointer["file"]), read_only=True) as connection:
        row = connection.execute("select cast(data_to as date) from publication").fetchone()
    return row[0] if row else None


def published_marts(artifact: dict[str, Any]) -> list[Mart]:
    """Models that the manifest marks with `meta: {publish: true}`."""
    marts = []
    for node in artifact.get("nodes", {}).values():
        if node["resource_type"] != "model" or not _meta(node).get("publish"):
            continue
        columns = node["columns"]
        counts = frozenset(name for name, column in columns.items() if _meta(column).get("disclosure") == "count")
        derived = {
            name: tuple(_meta(column)["of"])
            for name, column in columns.items()
            if _meta(column).get("disclosure") == "derived"
        }
        lattice = _meta(node).get("lattice")
        marts.append(
            Mart(
                node["name"],
                node["schema"],
                list(columns),
                counts,
                derived,
                Lattice.model_validate(lattice) if lattice else None,
            )
        )
    return sorted(marts, key=lambda mart: mart.name)


def _meta(node: dict[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = node.get("config", {}).get("meta") or node.get("meta") or {}
    return meta


def _write(path: Path, warehouse: Path, marts: list[Mart], run_id: str, now: datetime) -> int:
    n_rows = 0
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"attach '{str(warehouse).replace(chr(39), chr(39) * 2)}' as warehouse (read_only)")
        for mart in marts:
            source = f'warehouse."{mart.schema}"."{mart.name}"'
            if mart.lattice:
                source = withhold(connection, source, f'warehouse."{mart.schema}"', mart.lattice, sorted(mart.counts))
            columns = ", ".join(_column(mart, name) for name in mart.columns)
            stamps = (
                f", '{run_id}' as run_id, timestamp '{now.isoformat()}' as published_at, "
                f"'{__version__}' as ruam_version, '{RULE}' as disclosure_rule"
                if mart.name == "publication"
                else ""
            )
            connection.execute(f'create table "{mart.name}" as select {columns}{stamps} from {source}')
            n_rows += _checked(connection, mart)
        connection.execute("detach warehouse")
        create_views(connection, stable_schema())
        connection.execute("checkpoint")
    return n_rows


def _rows_for_stewards(artifact: dict[str, Any]) -> list[Mart]:
    """Models that the manifest marks with `meta: {stewards: true}`."""
    return [
        Mart(node["name"], node["schema"], list(node["columns"]), frozenset())
        for node in artifact["nodes"].values()
        if node["resource_type"] == "model" and _meta(node).get("stewards")
    ]


def _write_for_stewards(path: Path, warehouse: Path, rows: list[Mart]) -> None:
    """Row by row and under no disclosure control, in a file that only its owner may read."""
    with duckdb.connect(str(path)) as connection:
        path.chmod(0o600)
        connection.execute(f"attach '{str(warehouse).replace(chr(39), chr(39) * 2)}' as warehouse (read_only)")
        for one in rows:
            columns = ", ".join(f'"{name}"' for name in one.columns)
            connection.execute(
                f'create table "{one.name}" as select {columns} from warehouse."{one.schema}"."{one.name}"'
            )
        connection.execute("detach warehouse")
        connection.execute("checkpoint")


def _column(mart: Mart, name: str) -> str:
    """SQL of a published column; a count of a lattice has a column of its name and `_is_withheld` beside it."""
    if name in mart.counts:
        return withheld_sql(name, f'"{name}_is_withheld"') if mart.lattice else controlled_sql(name)
    if name in mart.derived and mart.lattice:
        hidden = " or ".join(f'"{count}_is_withheld"' for count in mart.derived[name])
        return f'case when not ({hidden}) then "{name}" end as "{name}"'
    return f'"{name}"'


def _checked(connection: duckdb.DuckDBPyConnection, mart: Mart) -> int:
    """Rows of the new table. Every count must be 0, empty, or a multiple of 5 from 10 on, and none was negative."""
    allowed = " and ".join(
        f'("{name}" is null or "{name}" = 0 or ("{name}" >= {THRESHOLD} and "{name}" % {BASE} = 0))'
        for name in mart.counts
    )
    negative = " or ".join(f'"{name}" < 0' for name in mart.counts)
    source = f'warehouse."{mart.schema}"."{mart.name}"'
    row = connection.execute(
        f"select count(*), count(*) filter (where not ({allowed or 'true'})), (select count(*) from {source}), "
        f'(select count(*) from {source} where {negative or "false"}) from "{mart.name}"'
    ).fetchone()
    if row is None or row[1] or row[0] != row[2] or row[3]:
        raise PublishError(f"{mart.name} failed its check ({row}); nothing is published and the last version stays.")
    return int(row[0])


def _retire(serving: Path, *newest: Path) -> None:
    for pattern in ("ruam_*.duckdb", STEWARDS.format(run_id="*")):
        for path in sorted(serving.glob(pattern))[:-KEPT_FILES]:
            if path not in newest:
                path.unlink()
    sync_folder(serving)
