"""The steps of the newest runs, as the log of `ruam` tells them: when, how long, how many rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ruam.home import DataHome

STEPS: Final = ("ingested", "built", "checked", "published", "failed", "failed unexpectedly")
"""Messages of the log that end a step."""
LOG = "ruam.jsonl"
_TAIL_BYTES = 1 << 20


class Step(BaseModel):
    """One line; what a step does not count is null, which is not 0."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: AwareDatetime
    message: str
    seconds: float | None = None
    rows: int | None = None
    checkpoint: str | None = None
    checks: int | None = None
    failed: int | None = None
    accepted: int | None = None
    accepted_with_rejects: int | None = None
    rejected: int | None = None
    exit_code: int | None = None
    skipped: bool = False
    id: str = Field(default="")
    """Of the build or the publication."""


def steps(home: DataHome, most: int) -> list[Step]:
    """The newest steps, newest first, from the end of the log; lines that cannot be read are left out."""
    found: list[Step] = []
    for line in reversed(_tail(home.logs / LOG)):
        step = _step(line)
        if step:
            found.append(step)
        if len(found) == most:
            break
    return found


def _tail(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    with path.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - _TAIL_BYTES))
        return log.read().splitlines()


def _step(line: bytes) -> Step | None:
    try:
        entry: dict[str, Any] = json.loads(line)
        if entry["message"] not in STEPS:
            return None
        return Step.model_validate({**entry, "id": entry.get("run_id") or entry.get("build_id") or ""})
    except (ValueError, TypeError, KeyError, ValidationError):
        return None
