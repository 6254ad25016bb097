"""Verdicts of checkpoints, for tests of what comes after them."""

from __future__ import annotations

from datetime import UTC, datetime

from ruam.build import built_batches, last_build_id
from ruam.checks import LANDING, WAREHOUSE, Check, Kind, Outcome, Status, Verdict, keep
from ruam.home import DataHome


def keep_verdict(home: DataHome, checkpoint: str, *, gate: str = "keys", status: Status = Status.PASSED) -> None:
    """One check's outcome, on the last good build and all that it holds."""
    check = Check(rule="key", gate=gate, kind=Kind.FILLED, columns=("area_code",))
    n_broken = {Status.PASSED: 0, Status.FAILED: 3}.get(status)
    verdict = Verdict(
        checkpoint=checkpoint,
        at=datetime.now(UTC).replace(tzinfo=None),
        build_id=last_build_id(home) if checkpoint == WAREHOUSE else "",
        batches=tuple(sorted(built_batches(home))) if status is Status.PASSED and checkpoint == LANDING else (),
        outcomes=(Outcome(table="t", check=check, status=status, n_rows=8, n_broken=n_broken),),
    )
    keep(home, verdict)


def pass_checks(home: DataHome) -> None:
    """As if both checkpoints had passed the last good build."""
    for checkpoint in (LANDING, WAREHOUSE):
        keep_verdict(home, checkpoint)
