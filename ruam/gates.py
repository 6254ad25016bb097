"""The gates before publishing: what measures us stops it, and whoever looks is told why (`gates.yml`).

The reason lies beside the published file until something is published again, so that `ruam status` and the pages say
of the old version that it is old.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ruam.checks import LANDING, WAREHOUSE, Status, Verdict, last_verdict
from ruam.errors import BuildError
from ruam.files import replacing, sync_folder
from ruam.home import DataHome
from ruam.landing import is_schema

GATES = Path(__file__).with_name("gates.yml")
STOPPED = "stopped.json"
BUILD, FRESHNESS, DISCLOSURE, UNCHECKED = "build", "freshness", "disclosure", "unchecked"

_OF_TESTS = {
    "unique": "keys",
    "unique_combination": "keys",
    "not_null": "keys",
    "one_row": "contracts",
    "accepted_values": "contracts",
    "relationships": "references",
}
"""Gate of dbt's tests by kind; a test written as SQL names its own (`meta: {gate: …}`)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gate(_Strict):
    code: str
    th: str
    en: str

    @property
    def runbook(self) -> str:
        return f"docs/runbooks/gates.md#{self.code}"


class Stop(_Strict):
    """A gate that is shut, and what holds it: names and numbers, never a row's values."""

    gate: str
    detail: str


class Stopped(_Strict):
    """Why the newest data are not published. `at` is UTC."""

    at: datetime
    build_id: str
    stops: tuple[Stop, ...]


@cache
def gates() -> dict[str, Gate]:
    """All gates by code, in the order in which they are told."""
    return {one["code"]: Gate.model_validate(one) for one in yaml.safe_load(GATES.read_text(encoding="utf-8"))}


def of_build(error: BuildError) -> list[Stop]:
    """The gates that a failed build shuts: by its tests and contracts that failed, or for itself."""
    failed = error.failed
    if not failed:
        return [Stop(gate=BUILD, detail="the build stopped; RUAM_HOME/dbt/logs/dbt.log says where")]
    return [Stop(gate=_gate_of(node, message), detail=node["name"]) for node, message in failed]


def _gate_of(node: Mapping[str, Any], message: str) -> str:
    if node["resource_type"] == "test":
        of_kind = _OF_TESTS.get((node.get("test_metadata") or {}).get("name", ""), BUILD)
        return str(node["config"].get("meta", {}).get("gate", of_kind))
    return "contracts" if "contract" in message.lower() else BUILD


def of_checks(home: DataHome, build_id: str, built: frozenset[str]) -> Iterator[Stop]:
    """The gates that the checkpoints shut: for what failed, and for what was not checked of this build (`built`: the
    batches it holds)."""
    landing, warehouse = last_verdict(home, LANDING), last_verdict(home, WAREHOUSE)
    yield from _failed(landing)
    yield from _failed(warehouse)
    if warehouse is None or warehouse.build_id != build_id or not (warehouse.is_passed or warehouse.stopping):
        yield Stop(gate=UNCHECKED, detail=f"the warehouse of build {build_id}: ruam check warehouse")
    # A schema batch holds no rows, so there is nothing to check of it.
    unchecked = {one for one in built if not is_schema(one)} - set(landing.batches if landing else ())
    if unchecked and not (landing and landing.stopping):
        yield Stop(gate=UNCHECKED, detail=f"{len(unchecked):,} batches of the landing: ruam check landing")


def _failed(verdict: Verdict | None) -> Iterator[Stop]:
    if verdict is None:
        return
    found: Counter[tuple[str, str, str]] = Counter()
    for one in verdict.stopping:
        gate = one.check.gate if one.status is Status.FAILED else UNCHECKED
        found[gate, one.table, one.check.rule] += one.n_broken or 0
    for (gate, table, rule), n_broken in found.items():
        yield Stop(
            gate=gate, detail=f"{verdict.checkpoint}, {table}: {rule}" + (f" ({n_broken:,})" if n_broken else "")
        )


def of_freshness(waiting_since: datetime | None, now: datetime, at_most: timedelta) -> Iterator[Stop]:
    """The gate of our own speed: what was landed is built within `at_most`. Times are UTC."""
    if waiting_since is not None and now - waiting_since > at_most:
        yield Stop(gate=FRESHNESS, detail=f"landed {waiting_since:%Y-%m-%d %H:%M} UTC and not built: ruam build")


def record(home: DataHome, build_id: str, stops: list[Stop]) -> Stopped:
    """Write down why nothing is published."""
    order = list(gates())
    told = Stopped(at=_now(), build_id=build_id, stops=tuple(sorted(stops, key=lambda one: order.index(one.gate))))
    with replacing(home.serving / STOPPED) as path:
        path.write_text(told.model_dump_json(), encoding="utf-8")
    return told


def lift(home: DataHome) -> None:
    """Nothing stops any more: the newest data are published."""
    (home.serving / STOPPED).unlink(missing_ok=True)
    sync_folder(home.serving)


def stopped(home: DataHome) -> Stopped | None:
    """Why the newest data are not published; None when nothing stopped, or the record cannot be read."""
    try:
        return Stopped.model_validate_json((home.serving / STOPPED).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
