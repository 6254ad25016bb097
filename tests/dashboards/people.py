"""People who are signed in: a session in a home, and what a page reads of it as `st.user`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruam.audit import pseudonym
from ruam.home import DataHome
from ruam.sessions import Sessions, name_of

ISSUER = "https://login.example"


def signed_in(
    home: Path,
    roles: Sequence[str] = ("analyst",),
    areas: Sequence[str] = ("TH",),
    sub: str = "somebody",
    **claims: object,
) -> dict[str, Any]:
    """Start a session in the home; gives `st.user` of whoever holds it."""
    said = {"iss": ISSUER, "sub": sub, "name": "Somebody", "roles": list(roles), "areas": list(areas), **claims}
    return user_of(home, said, time.time() + 3600)


def user_of(home: Path, claims: Mapping[str, Any], expires_at: float) -> dict[str, Any]:
    subject = pseudonym(DataHome(home), str(claims["iss"]), str(claims["sub"]))
    token = Sessions.of(DataHome(home)).start(subject, claims, expires_at)
    return {**claims, "is_logged_in": True, "session": name_of(token), "subject": subject}
