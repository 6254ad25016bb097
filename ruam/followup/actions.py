"""What can be done about a finding, and how it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select

from ruam.audit import Event
from ruam.errors import UsageError
from ruam.followup.recorded import Recorded
from ruam.followup.tables import followup_events
from ruam.plain import plain

MOST_CHARACTERS = 2_000
"""Of a note; of a name 120."""


class Action(StrEnum):
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    SNOOZED = "snoozed"
    ACCEPTED = "accepted"
    """Looked at, and true as it was sent: nothing is to be mended."""
    REOPENED = "reopened"
    """Neither waiting nor accepted any more."""


@dataclass(frozen=True)
class Finding:
    """Which finding: its key, and what is told of it where the key alone would say nothing."""

    finding_key: str
    hospcode: str
    rule_code: str


@dataclass(frozen=True)
class By:
    """Who does it: as the audit log calls them, and as colleagues do."""

    subject: str
    name: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """One entry of a finding's history; `at` is UTC without a zone."""

    finding_key: str
    at: datetime
    by_name: str
    action: Action
    assignee: str | None
    until: date | None
    note: str | None


@dataclass(frozen=True)
class State:
    """How a finding stands with those who follow it up."""

    assignee: str | None = None
    snoozed_until: date | None = None
    is_accepted: bool = False
    reason: str | None = None
    """Why it waits or is accepted."""
    n_comments: int = 0
    last_at: datetime | None = None

    def is_waiting(self, today: date) -> bool:
        """On its last day it waits still."""
        return self.snoozed_until is not None and today <= self.snoozed_until


NOBODY = State()
"""Of a finding about which nothing was done."""


def standing_of(history: Iterable[Done]) -> State:
    """How a finding stands after all that was done about it, oldest first."""
    state = NOBODY
    for done in history:
        state = replace(state, last_at=done.at)
        if done.action is Action.ASSIGNED:
            state = replace(state, assignee=done.assignee)
        elif done.action is Action.COMMENTED:
            state = replace(state, n_comments=state.n_comments + 1)
        elif done.action is Action.SNOOZED:
            state = replace(state, snoozed_until=done.until, is_accepted=False, reason=done.note)
        elif done.action is Action.ACCEPTED:
            state = replace(state, snoozed_until=None, is_accepted=True, reason=done.note)
        else:
            state = replace(state, snoozed_until=None, is_accepted=False, reason=None)
    return state


class Followup(Recorded):
    """What was done about findings."""

    # What is done

    def assign(self, finding: Finding, by: By, assignee: str, note: str = "") -> None:
        """Raises `UsageError`, as all of these do, for words that are missing or too long."""
        self._do(finding, by, Action.ASSIGNED, assignee=words_of(assignee, "Who sees to it", 120), note=note)

    def comment(self, finding: Finding, by: By, note: str) -> None:
        self._do(finding, by, Action.COMMENTED, note=words_of(note, "A comment"))

    def snooze(self, finding: Finding, by: By, until: date, reason: str, today: date) -> None:
        """Let it wait until a day, that day included."""
        if until < today:
            raise UsageError(f"{until.isoformat()} is over: name the last day on which it is to wait.")
        self._do(finding, by, Action.SNOOZED, until=until, note=words_of(reason, "Why it waits"))

    def accept(self, finding: Finding, by: By, reason: str) -> None:
        self._do(finding, by, Action.ACCEPTED, note=words_of(reason, "Why it is true as it was sent"))

    def reopen(self, finding: Finding, by: By, reason: str) -> None:
        self._do(finding, by, Action.REOPENED, note=words_of(reason, "Why it is open again"))

    def _do(self, finding: Finding, by: By, action: Action, **told: Any) -> None:
        told["note"] = words_of(told["note"], "The note") if told.get("note") else None
        row = {
            "finding_key": finding.finding_key,
            "hospcode": finding.hospcode,
            "rule_code": finding.rule_code,
            "at": datetime.now(UTC).replace(tzinfo=None),
            "by_subject": by.subject,
            "by_name": plain(by.name)[:120],
            "action": str(action),
            **told,
        }
        # Within the transaction: what cannot be recorded is not done.
        with self._engine.begin() as connection:
            connection.execute(insert(followup_events).values(row))
            about = {"finding": finding.finding_key, "hospcode": finding.hospcode, "action": str(action)}
            self._audit.write(Event.FOLLOWUP, by.subject, by.roles, **about)

    # How it stands

    def history(self, finding_key: str) -> list[Done]:
        """All that was done about a finding, oldest first."""
        return self._read([finding_key]).get(finding_key, [])

    def states(self, keys: Collection[str] | None = None) -> dict[str, State]:
        """How each finding stands about which anything was done, of `keys` or of all."""
        return {key: standing_of(history) for key, history in self._read(keys).items()}

    def accepted(self) -> frozenset[str]:
        """Keys of the findings that were found to be true."""
        return frozenset(key for key, state in self.states().items() if state.is_accepted)

    def _read(self, keys: Collection[str] | None) -> Mapping[str, list[Done]]:
        table = followup_events.c
        wanted = select(
            table.finding_key, table.at, table.by_name, table.action, table.assignee, table.until, table.note
        ).order_by(table.id)
        found: dict[str, list[Done]] = {}
        with self._engine.connect() as connection:
            for few in _some(keys) if keys is not None else [None]:
                rows = connection.execute(wanted if few is None else wanted.where(table.finding_key.in_(few)))
                for key, at, name, action, assignee, until, note in rows:
                    done = Done(key, at, name, Action(action), assignee, until, note)
                    found.setdefault(key, []).append(done)
        return found


def _some(keys: Collection[str], size: int = 500) -> Iterable[list[str]]:
    """In parts that every database takes as parameters of one statement."""
    listed = list(keys)
    return (listed[start : start + size] for start in range(0, len(listed), size))


def words_of(text: str, what: str, most: int = MOST_CHARACTERS) -> str:
    """What somebody wrote, without what may be a citizen number. Raises `UsageError` when it is empty or too long."""
    said = "\n".join(plain(line) for line in text.strip().splitlines())
    if not said:
        raise UsageError(f"{what} is missing: write a few words.")
    if len(said) > most:
        raise UsageError(f"{what} has {len(said):,} characters; {most:,} are taken.")
    return said
