"""The keys: two that turn a citizen's number into a pseudonym, and two that seal what is kept of people.

`linkage` (k1) belongs to the linkage zone, `analysis` (k2) to the warehouse; `HMAC(k2, HMAC(k1, cid))` can be
re-keyed with a new k2 without the numbers themselves (security_ux.md §4). `vault` and `inbox` encrypt what lies there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from ruam.errors import SetupError

KEY_BYTES = 32
NAMES = ("linkage", "analysis", "vault", "inbox")


@dataclass(frozen=True)
class Keys:
    linkage: bytes
    analysis: bytes

    @property
    def key_id(self) -> str:
        """`<k1>.<k2>`, 8 hex digits each: names the keys without telling anything of them."""
        return ".".join(hashlib.sha256(b"ruam key id" + key).hexdigest()[:8] for key in (self.linkage, self.analysis))

    def __repr__(self) -> str:
        return f"Keys({self.key_id})"


def create_keys(folder: Path) -> list[Path]:
    """Write the keys that are missing, mode 0400, and return their paths. An existing key is never touched."""
    created = []
    for name in NAMES:
        path = folder / f"{name}.key"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(secrets.token_bytes(KEY_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
        created.append(path)
    return created


def load_keys(folder: Path) -> Keys:
    """Read the keys of pseudonyms. Raises as `load_key` does."""
    return Keys(load_key(folder, "linkage"), load_key(folder, "analysis"))


def load_key(folder: Path, name: str) -> bytes:
    """Read one of the keys `NAMES`.

    Raises `SetupError` naming the file when a key is missing, short, or readable by anyone but its owner.
    """
    path = folder / f"{name}.key"
    try:
        mode = path.stat().st_mode
        key = path.read_bytes()
    except FileNotFoundError:
        raise SetupError(f"Key {path} is missing. Run `ruam init` for a new home, or bring the key back.") from None
    except PermissionError:
        raise SetupError(f"Key {path} cannot be read by this user.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SetupError(f"Key {path} has mode {stat.S_IMODE(mode):04o}: others may reach it. Run `chmod 0400 {path}`.")
    if len(key) < KEY_BYTES:
        raise SetupError(f"Key {path} has {len(key)} bytes; {KEY_BYTES} are needed. Bring the right key back.")
    return key
