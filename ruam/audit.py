"""The audit log of the pages: who saw what, a line each, only ever added to and chained by hashes (`ruam.chain`).

Who is a keyed pseudonym of issuer and subject: a subject may be a citizen number (PDPA s. 26), and an unkeyed hash of
one is no pseudonym. `ruam audit subject` gives the pseudonym of a person who asks.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from secrets import token_bytes
from typing import Any

from ruam import chain
from ruam.chain import NOTHING, Head
from ruam.errors import SetupError
from ruam.files import locked, storage_errors, sync_folder
from ruam.home import DataHome

KEY_BYTES = 32
PSEUDONYM_DIGITS = 20


class Event(StrEnum):
    LOGIN = "login"
    LOGOUT = "logout"
    REVOKED = "revoked"
    """An administrator ended the sessions of a subject."""
    VIEW = "view"
    REFUSED = "refused"
    EXPORT = "export"
    VERIFIED = "verified"
    FOLLOWUP = "followup"
    """Somebody did something about a finding; what was written stands in the database of follow-up."""
    ANNOTATION = "annotation"
    """An analyst said something about a figure, or took it back; in which words stands there too."""


@dataclass(frozen=True)
class AuditLog:
    home: DataHome

    @property
    def path(self) -> Path:
        return self.home.logs / "audit.jsonl"

    @property
    def _head(self) -> Path:
        return self.home.access / "audit-head.json"

    def write(self, event: Event, subject: str, roles: tuple[str, ...] = (), **told: object) -> Head:
        """Add a line: `at` (UTC), `event`, `subject`, `roles` and what is told. Raises as `storage_errors` does."""
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": str(event),
            "subject": subject,
            "roles": list(roles),
            **told,
        }
        self.home.access.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            storage_errors("Writing the audit log", self.path),
            locked(self.home.access / ".audit.lock", "The audit log", wait=True),
        ):
            head = chain.append(self.path, self.head() or NOTHING, entry)
            written = self._head.with_suffix(".tmp")
            written.write_text(json.dumps({"seq": head.seq, "hash": head.hash}), encoding="utf-8")
            written.replace(self._head)
        return head

    def head(self) -> Head | None:
        """The newest line as it was noted beside the log; None where there is no note, or none that can be read."""
        try:
            noted = json.loads(self._head.read_text(encoding="utf-8"))
            return Head(int(noted["seq"]), str(noted["hash"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def problems(self, known: Head | None = None) -> list[str]:
        """What is wrong with the log, in words: by its chain, by the head noted beside it, by one kept elsewhere."""
        head = self.head()
        found = chain.problems(self.path, head, self._head.name)
        if head is None and chain.last_of(self.path) != NOTHING:
            found.append(f"{self._head}, the note of its newest line, is gone or damaged")
        if known is not None:
            found += [one for one in chain.problems(self.path, known, "whoever noted it") if one not in found]
        return found

    def newest(self, n: int, wanted: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The newest `n` entries, newest first; `wanted` gives fields that must be as said (`at` by its beginning)."""
        fields = dict(wanted or {})
        at = fields.pop("at", "")
        matching: Iterator[dict[str, Any]] = (
            entry
            for entry in chain.newest_first(self.path)
            if str(entry.get("at", "")).startswith(at)
            and all(entry.get(name) == value for name, value in fields.items())
        )
        return list(islice(matching, n))


def pseudonym(home: DataHome, issuer: str, subject: str) -> str:
    """What the audit log calls a person: 20 hex digits of an HMAC-SHA256 under a key of this home.

    The key is made when it is first needed. Raises `SetupError` when others may read it, or it is damaged.
    """
    message = json.dumps([issuer, subject]).encode()
    return hmac.new(_key(home.access / "subject.key"), message, hashlib.sha256).hexdigest()[:PSEUDONYM_DIGITS]


def _key(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Linked into place whole: of two processes that begin at once, one key stands.
        made = path.with_name(f".{path.name}.{os.getpid()}.{token_bytes(4).hex()}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as handle:
            handle.write(token_bytes(KEY_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
        sync_folder(path.parent)
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SetupError(f"{path} has mode {stat.S_IMODE(mode):04o}: others may reach it. Run `chmod 0400 {path}`.")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise SetupError(f"{path} holds {len(key)} bytes instead of {KEY_BYTES}: bring it back from the backup.")
    return key
