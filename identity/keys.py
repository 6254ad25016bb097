"""The keys: where they are kept, and the two that turn a citizen's number into a pseudonym.

`linkage` (k1) belongs to the linkage zone, `analysis` (k2) to the warehouse; `HMAC(k2, HMAC(k1, cid))` can be
re-keyed with a new k2 without the numbers themselves (security_ux.md §4). `vault` and `inbox` seal what lies there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ruam.errors import SetupError
from ruam.files import sync_folder
from ruam.home import DataHome

KEY_BYTES = 32
NAMES = ("linkage", "analysis", "vault", "inbox")
NEXT = ".next"
"""Ends the name of a key that is to take another's place."""

SERVICE = "vault://"
"""Begins the address of keys that a key service keeps: `vault://MOUNT/PATH`."""

_TIMEOUT_SECONDS = 10


class MissingKeyError(SetupError):
    """There is no key of that name."""


class KeySource(Protocol):
    """Where keys are kept, each by its name.

    Each method raises `SetupError`, which names the key and says what to do.
    """

    def read(self, name: str) -> bytes:
        """The key. Raises `MissingKeyError` when there is none, `SetupError` when it is not as it must be."""

    def add(self, name: str, key: bytes) -> bool:
        """Keep a key under a name that has none; whether it had none. A key that is there is never touched."""

    def promote(self, name: str) -> None:
        """Put `<name>.next` in the place of `name`, and keep the old key too; nothing when there is no next one."""

    def discard(self, name: str) -> None:
        """Forget a key, if there is one."""


@dataclass(frozen=True)
class Keys:
    """The two keys of pseudonyms."""

    linkage: bytes
    analysis: bytes

    @property
    def key_id(self) -> str:
        """`<k1>.<k2>`, 8 hex digits each: names the keys without telling anything of them."""
        return f"{id_of(self.linkage)}.{id_of(self.analysis)}"

    def __repr__(self) -> str:
        return f"Keys({self.key_id})"


def id_of(key: bytes) -> str:
    """8 hex digits that name a key without telling anything of it."""
    return hashlib.sha256(b"ruam key id" + key).hexdigest()[:8]


def keys_of(home: DataHome) -> KeySource:
    """Where the keys of a data home are kept. Raises `SetupError` for an address that cannot be read."""
    if home.key_store and home.key_store.startswith(SERVICE):
        mount, _, path = home.key_store.removeprefix(SERVICE).strip("/").partition("/")
        if not mount or not path:
            raise SetupError(f"RUAM_KEYS={home.key_store} names no mount and path: give {SERVICE}MOUNT/PATH.")
        return ServiceKeys(mount, path)
    return FileKeys(home.keys)


def create_keys(source: KeySource | Path) -> list[str]:
    """Make the keys that are missing, and return their names. An existing key is never touched."""
    kept = _source(source)
    return [name for name in NAMES if kept.add(name, secrets.token_bytes(KEY_BYTES))]


def load_keys(source: KeySource | Path) -> Keys:
    """The keys of pseudonyms. Raises `SetupError` naming a key that is missing or not as it must be."""
    return Keys(load_key(source, "linkage"), load_key(source, "analysis"))


def load_key(source: KeySource | Path, name: str) -> bytes:
    """One of the keys `NAMES`; a folder stands for the files in it. Raises as `load_keys` does."""
    return _source(source).read(name)


def _source(source: KeySource | Path) -> KeySource:
    return FileKeys(source) if isinstance(source, Path) else source


def _of_right_size(key: bytes, where: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise SetupError(f"Key {where} has {len(key)} bytes; {KEY_BYTES} are needed. Bring the right key back.")
    return key


@dataclass(frozen=True)
class FileKeys:
    """Keys in a folder, one file each: `<name>.key`, mode 0400. One that was replaced stays as `<name>.<id>.key`."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def read(self, name: str) -> bytes:
        path = self._path(name)
        return _of_right_size(_private(path, f"Key {path}"), str(path))

    def add(self, name: str, key: bytes) -> bool:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = self.folder / f".{name}.{os.getpid()}.tmp"
        written.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as handle:
                handle.write(key)
                handle.flush()
                os.fsync(handle.fileno())
            self._path(name).hardlink_to(written)
        except FileExistsError:
            return False
        finally:
            written.unlink(missing_ok=True)
        sync_folder(self.folder)
        return True

    def promote(self, name: str) -> None:
        coming = self._path(name + NEXT)
        if not coming.exists():
            return
        self.read(name + NEXT)
        with suppress(FileExistsError):
            self._path(f"{name}.{id_of(self.read(name))}").hardlink_to(self._path(name))
        coming.replace(self._path(name))
        sync_folder(self.folder)

    def discard(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def _private(path: Path, what: str) -> bytes:
    """The bytes of a file that only its owner may reach."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingKeyError(f"{what} is missing. Run `ruam init` for a new home, or bring the key back.") from None
    except PermissionError:
        raise SetupError(f"{what} cannot be read by this user.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SetupError(f"{what} has mode {stat.S_IMODE(mode):04o}: others may reach it. Run `chmod 0400 {path}`.")
    return content


@dataclass(frozen=True)
class ServiceKeys:
    """Keys in the KV store (version 2) of HashiCorp Vault, OpenBao, or another that speaks their HTTP API.

    Each is a secret `<path>/<name>` whose field `key` holds 64 hex digits; one that was replaced stays as an earlier
    version. VAULT_ADDR says where the service is, and VAULT_TOKEN who asks; or VAULT_ROLE_ID_FILE and
    VAULT_SECRET_ID_FILE name two files of mode 0400 with which an AppRole logs in.
    """

    mount: str
    path: str

    def __str__(self) -> str:
        return f"{SERVICE}{self.mount}/{self.path}"

    def read(self, name: str) -> bytes:
        with self._telling(name):
            answer = self._secrets.read_secret_version(
                f"{self.path}/{name}", mount_point=self.mount, raise_on_deleted_version=True
            )
        text = answer["data"]["data"].get("key")
        try:
            key = bytes.fromhex(text)
        except (TypeError, ValueError):
            raise SetupError(
                f"Key {self._where(name)} holds no key: its field `key` must be {2 * KEY_BYTES} hex digits."
            ) from None
        return _of_right_size(key, self._where(name))

    def add(self, name: str, key: bytes) -> bool:
        from hvac.exceptions import InvalidRequest

        with self._telling(name):
            try:
                # Check-and-set with 0: written only where nothing is.
                self._write(name, key, 0)
            except InvalidRequest:
                self.read(name)  # Unless it is there, as it must be, the request was refused for another reason.
                return False
        return True

    def promote(self, name: str) -> None:
        try:
            coming = self.read(name + NEXT)
        except MissingKeyError:
            return
        with self._telling(name):
            if self.read(name) != coming:
                known = self._secrets.read_secret_metadata(f"{self.path}/{name}", mount_point=self.mount)
                self._write(name, coming, known["data"]["current_version"])
        self.discard(name + NEXT)

    def discard(self, name: str) -> None:
        with self._telling(name):
            self._secrets.delete_metadata_and_all_versions(f"{self.path}/{name}", mount_point=self.mount)

    def _write(self, name: str, key: bytes, version: int) -> None:
        self._secrets.create_or_update_secret(
            f"{self.path}/{name}", {"key": key.hex()}, cas=version, mount_point=self.mount
        )

    def _where(self, name: str) -> str:
        return f"{self}/{name}"

    @cached_property
    def _secrets(self) -> Any:
        import hvac

        client = hvac.Client(url=_service_address(), timeout=_TIMEOUT_SECONDS)
        files = [os.environ.get(f"VAULT_{part}_ID_FILE") for part in ("ROLE", "SECRET")]
        if all(files):
            role, secret = (_private(Path(str(file)), f"File {file}").decode().strip() for file in files)
            client.auth.approle.login(role, secret)
        elif not client.token:
            raise SetupError("VAULT_TOKEN is not set, nor VAULT_ROLE_ID_FILE and VAULT_SECRET_ID_FILE.")
        return client.secrets.kv.v2

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        """Turn what the service refuses into words about the key."""
        from hvac import exceptions as refused
        from requests import RequestException

        key, at = f"Key {self._where(name)}", os.environ.get("VAULT_ADDR")
        try:
            yield
        except refused.InvalidPath:
            raise MissingKeyError(f"{key} is missing. Run `ruam init` for a new home, or bring the key back.") from None
        except (refused.Forbidden, refused.Unauthorized, refused.InvalidRequest) as error:
            raise SetupError(
                f"{key} may not be reached: {at} refused ({_reason(error)}). Check the token or the AppRole, and that "
                "its policy allows this path."
            ) from None
        except refused.VaultDown as error:
            raise SetupError(f"{key} cannot be read: {at} is sealed or down ({_reason(error)}). Unseal it.") from None
        except (refused.VaultError, RequestException) as error:
            raise SetupError(f"{key} cannot be read: {at} did not answer as it should ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    """What the service says, without the address and what was sent."""
    told = getattr(error, "errors", None)
    return "; ".join(" ".join(str(one).split()) for one in told) if told else type(error).__name__


def _service_address() -> str:
    """Raises `SetupError` unless the address is that of HTTPS, or of this machine."""
    address = os.environ.get("VAULT_ADDR", "")
    parts = urlsplit(address)
    if not parts.hostname:
        raise SetupError("VAULT_ADDR does not say where the key service is; give https://HOST:PORT.")
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SetupError(f"VAULT_ADDR={address} would send keys in the clear; give https://HOST:PORT.")
    return address
