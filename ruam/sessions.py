"""Sessions of the pages, kept on the server: a file each, so that ending one is deleting it.

The browser holds a random token alone; the file is named by its SHA-256, so that whoever reads the folder cannot use
what it finds. A session lives no longer than its ID token, eight hours, or half an hour without use.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ruam.home import DataHome

LIFE_SECONDS = 8 * 3600
IDLE_SECONDS = 30 * 60
WARNING_SECONDS = 20 * 60
"""So long without use, and the page says when the session will end."""
TOKEN_BYTES = 32
_DIGITS = 64


class Session(BaseModel):
    model_config = ConfigDict(frozen=True)

    subject: str
    """As the audit log calls them."""
    started_at: float
    expires_at: float
    claims: dict[str, Any]
    """Of the ID token, as the pages read them."""


@dataclass(frozen=True)
class Sessions:
    folder: Path
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, home: DataHome) -> Sessions:
        return cls(home.access / "sessions")

    def start(self, subject: str, claims: Mapping[str, Any], token_expires_at: float) -> str:
        """Begin a session; returns its token, which is nowhere kept."""
        token = token_urlsafe(TOKEN_BYTES)
        now = self.clock()
        session = Session(
            subject=subject,
            started_at=now,
            expires_at=min(token_expires_at, now + LIFE_SECONDS),
            claims=dict(claims),
        )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(name_of(token))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
            handle.write(session.model_dump_json())
        os.utime(path, (now, now))
        return token

    def get(self, name: str) -> Session | None:
        """A session that is still alive, by its name; one that is over is deleted."""
        if len(name) != _DIGITS or not set(name) <= set("0123456789abcdef"):
            return None
        path = self._path(name)
        try:
            used_at = path.stat().st_mtime
            session = Session.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValidationError:
            path.unlink(missing_ok=True)
            return None
        now = self.clock()
        if now >= min(session.expires_at, used_at + IDLE_SECONDS):
            path.unlink(missing_ok=True)
            return None
        return session

    def used_at(self, name: str) -> float:
        """When the session was used last. Raises `FileNotFoundError` when it is over."""
        return self._path(name).stat().st_mtime

    def touch(self, name: str) -> None:
        """Note that the session is in use; one that has just ended stays ended."""
        now = self.clock()
        try:
            os.utime(self._path(name), (now, now))
        except FileNotFoundError:
            return

    def end(self, name: str) -> bool:
        """Whether there was such a session to end."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def end_of(self, subject: str) -> int:
        """End all sessions of a subject; gives their number."""
        return sum(self.end(name) for name, session in self.alive().items() if session.subject == subject)

    def alive(self) -> dict[str, Session]:
        """Sessions by name; those that are over are deleted on the way."""
        names = [path.stem for path in self.folder.glob("*.json")]
        return {name: session for name in names if (session := self.get(name))}

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def name_of(token: str) -> str:
    """What the server calls the session of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
