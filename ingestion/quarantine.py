"""Rejected deliveries: what is in them, and trying them again once the cause was mended.

Nothing is moved: a delivery is in quarantine as long as its receipts say that it was rejected and never accepted. It is
released by taking it in again from the inbox on the one way there is, so that what is still broken is rejected again.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePath

import polars as pl

from ingestion import history
from ingestion.batch import Outcome
from ingestion.delivery import DeliveryRejectedError, DeliveryZip, Member, Sender, content_hash, feed_of, sender_of
from ingestion.feed import STANDARD
from ingestion.inbox import stored
from ingestion.job import Follow, Report, delivery_in_inbox, land_received
from ingestion.landing import utc_now
from ingestion.parts import suffix_of
from ingestion.readers import READERS, Description
from ingestion.reference import current_registry
from ruam.errors import UsageError
from ruam.files import sync_folder
from ruam.home import DataHome
from ruam.settings import Settings, ZipLimits

ROWS_LOOKED_AT = 1000
"""Of each member, to learn whose rows it holds."""


@dataclass(frozen=True)
class Listed:
    """A member as the zip's directory declares it, sizes in bytes; `file` is None when it is none of the standard."""

    name: str
    n_bytes: int
    n_packed_bytes: int
    file: str | None


def announced_by(file_name: str, extra_feeds: Path | None = None) -> str | None:
    """The feed that a delivery's name announces, if any."""
    try:
        return sender_of(file_name, extra_feeds).feed
    except DeliveryRejectedError:
        return None


def list_members(path: Path, announced: str | None = None, extra_feeds: Path | None = None) -> list[Listed]:
    """What the zip's directory names, in its order, folders left out. Nothing is inflated.

    `announced` and `extra_feeds` as in `ingestion.delivery.feed_of`, here and below. Raises `zipfile.BadZipFile` when
    it cannot be read.
    """
    try:
        infos = _directory(path)
    except (ValueError, RuntimeError, OSError, EOFError) as error:
        raise zipfile.BadZipFile(str(error)) from error
    feed = feed_of(announced, [info.filename for info in infos], extra_feeds)
    return [
        Listed(info.filename, info.file_size, info.compress_size, feed.table_of(info.filename))
        for info in infos
        if not info.is_dir()
    ]


def _directory(path: Path) -> list[zipfile.ZipInfo]:
    """Names as Thai programs write them, or by the zip's own cp437 where they cannot be that."""
    try:
        with zipfile.ZipFile(path, metadata_encoding="cp874") as archive:
            return archive.infolist()
    except UnicodeDecodeError:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()


def senders_inside(
    path: Path, limits: ZipLimits, announced: str | None = None, extra_feeds: Path | None = None
) -> Counter[str]:
    """How many of the first rows of each member bear which HOSPCODE; empty when the zip cannot be read.

    Only columns that the feed takes for HOSPCODE are looked at: in another an identifier may stand. Codes that had lost
    their leading zeros have them again. What is no code is left out.
    """
    found: Counter[str] = Counter()
    try:
        with DeliveryZip(path, limits, announced, extra_feeds) as opened:
            for member in opened.members:
                found.update(_codes(opened, member))
    except DeliveryRejectedError:
        return Counter()
    return found


def _codes(opened: DeliveryZip, member: Member) -> Iterator[str]:
    feed, read = opened.feed, READERS.get(suffix_of(member.name))
    columns = feed.sender_columns(member.table)
    if not read or not columns:
        return
    table = feed.contract(member.table) if feed.feed == STANDARD else feed.tables[member.table]
    for rows in islice(read(opened, member, table, Description()), 1):
        for name in columns.intersection(rows.frame.columns):
            for value in rows.frame[name].head(ROWS_LOOKED_AT).drop_nulls():
                if re.fullmatch(r"[0-9]{3,5}", code := value.strip(" \"'")):
                    yield code.zfill(5)


def proposed_name(
    path: Path,
    hospcode: str,
    otherwise: datetime,
    announced: str | None = None,
    extra_feeds: Path | None = None,
) -> str:
    """The name that the zip should have had; its time is that of its newest member, or `otherwise` if none has any."""
    times = [otherwise]
    infos = _directory(path)
    for info in infos:
        with suppress(ValueError):  # Some programs write a month of 0.
            times.append(datetime(*info.date_time))  # noqa: DTZ001 - as senders write it
    word = feed_of(announced, [info.filename for info in infos], extra_feeds).name_tokens[0]
    return f"{word}_{hospcode}_{max(times[1:] or times):%Y%m%d%H%M%S}.zip"


@dataclass(frozen=True)
class Tried:
    """A delivery that was tried again, under which name, and what became of it."""

    delivery_id: str
    file_name: str
    outcome: Outcome


def release(
    settings: Settings,
    prefixes: list[str],
    *,
    as_name: str | None = None,
    reason: str | None = None,
    follow: Follow = lambda _: None,
) -> tuple[list[Tried], Report]:
    """Take quarantined deliveries in again from the inbox, under the name they came by or `as_name`.

    Before and after, who tried it and why is added to the home's `releases.jsonl`. Killed on the way, the delivery is
    landed whole or not at all, and may be released again. Raises `UsageError`, before anything is tried, when there is
    nothing to release or the name cannot be right, and as `ingestion.job.ingest` does.
    """
    home = settings.data_home
    home.require()
    registry = current_registry(home)
    chosen = {came["delivery_id"][0]: came for came in (history.find_delivery(home, one) for one in prefixes)}
    if as_name and len(chosen) > 1:
        raise UsageError("A name belongs to one delivery: release them one at a time with --as.")
    waiting = []
    for delivery_id, came in chosen.items():
        path = _stored(home, delivery_id, came)
        if as_name:
            _check_name(as_name, path, set(registry["hoscode"]), settings)
        waiting.append(delivery_in_inbox(settings, delivery_id, as_name or came["file_name"][0]))
    who = _who()
    names = {one.delivery_id: one.file_name for one in waiting}

    def note(delivery_id: str, state: str, rule: str | None = None) -> None:
        entry = {"delivery_id": delivery_id, "file_name": names[delivery_id], "state": state, "rule": rule}
        _append(home.releases, {"at": f"{utc_now().isoformat()}Z", "by": who, "why": reason, **entry})

    for delivery_id in names:
        note(delivery_id, "begun")
    report = land_received(settings, waiting, follow)
    tried = []
    left = list(report.outcomes)
    for delivery_id, name in names.items():
        outcome = next((one for one in left if one.file_name == name), None)
        if outcome is None:
            continue  # Not taken in, as the report says.
        left.remove(outcome)
        note(delivery_id, outcome.outcome, outcome.reason)
        tried.append(Tried(delivery_id, name, outcome))
    return tried, report


def _stored(home: DataHome, delivery_id: str, came: pl.DataFrame) -> Path:
    """Where a delivery that may be released lies, its content as it came."""
    accepted = came.filter(pl.col("outcome").is_in(history.ACCEPTED))
    if accepted.height:
        raise UsageError(
            f"There is nothing to release: {delivery_id[:12]} was accepted as {accepted['file_name'][0]}. "
            "Rows of it that were set aside come in with a new export alone."
        )
    path = stored(home.inbox, delivery_id)
    if not path.exists():
        raise UsageError(f"{path} is gone from the inbox; ask the sender for it again.")
    if content_hash(path) != delivery_id:
        raise UsageError(f"{path} is no longer what was received (its SHA-256 differs); ask the sender for it again.")
    return path


def _check_name(name: str, path: Path, registered: set[str], settings: Settings) -> None:
    """A wrong code would be taken for the sender's: all rows would be set aside, and the content count as received."""
    pattern = "<FEED>_<HOSPCODE>_<YYYYMMDDHHMMSS>.zip, as F43_10670_20240601120000.zip"
    if PurePath(name).name != name or PurePath(name).suffix.lower() != ".zip":
        raise UsageError(f"{name} is no name of a zip; give {pattern}, without a folder.")
    try:
        sender: Sender = sender_of(name, settings.feeds)
    except DeliveryRejectedError as error:
        raise UsageError(f"{name}: {error.message}.") from error
    if sender.sent_at is None:
        raise UsageError(f"{name} bears no time, which decides between two deliveries of a row; give {pattern}.")
    if sender.hospcode not in registered:
        raise UsageError(f"{name}: facility {sender.hospcode} is not in the registry in force.")
    inside = senders_inside(path, settings.limits, sender.feed, settings.feeds)
    if inside and sender.hospcode not in inside:
        raise UsageError(
            f"{name}: none of the rows looked at is of {sender.hospcode}; they are of {', '.join(sorted(inside)[:5])}."
        )


def releases_of(home: DataHome, delivery_id: str) -> list[dict[str, str | None]]:
    """Entries of `releases.jsonl` for one delivery, oldest first: `at, by, why, file_name, state, rule`.

    `state` is `begun`, then the outcome; one that was killed has none.
    """
    if not home.releases.exists():
        return []
    entries = []
    for line in home.releases.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # The process was killed while it wrote this line.
        if entry.pop("delivery_id") == delivery_id:
            entries.append(entry)
    return entries


def _append(path: Path, entry: dict[str, str | None]) -> None:
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, f"{chr(10) if torn else ''}{json.dumps(entry, ensure_ascii=False)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_folder(path.parent)


def _who() -> str:
    """The account that runs this process; behind sudo, who called it."""
    caller = os.environ.get("SUDO_USER")
    if os.getuid() == 0 and caller:
        return caller
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
