"""Where deliveries lie: folders, SFTP servers and S3 buckets, read through fsspec and never written to."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ingestion import folders
from ruam.errors import UsageError
from ruam.settings import NetworkLimits, Settings

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SUFFIXES = (".zip",)
"""What a delivery's name ends with, whatever its case; names of unfinished uploads (`.zip.part`) end otherwise."""

PIECE_BYTES = 1 << 20

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SFTP = re.compile(r"(?:([^@/:]+)@)?(\[[0-9A-Fa-f:]+\]|[^@/:\[\]]+)(?::([0-9]{1,5}))?(/.*)?", re.DOTALL)
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")

_Info = dict[str, Any]
"""What fsspec tells of a file: `name`, `size` (bytes), `type`, and what only one kind of place knows."""
_T = TypeVar("_T")


class PlaceError(Exception):
    """A place, or a file in it, cannot be read: words for the user, without secrets."""


class ChangedError(PlaceError):
    """A file is no longer as it was listed: its sender is still writing it, or took it away."""


@dataclass(frozen=True)
class Found:
    """A delivery where it lies. Two are equal when they are the same file with the same content."""

    place: Place = field(repr=False, compare=False)
    path: str = field(repr=False)
    """As the place's file system names it."""
    address: str
    """The whole address as people read it."""
    size: int
    """Bytes, as listed."""
    version: str
    """Differs when the content does: times and inode of a file, an object's ETag."""
    modified: float | None
    """Seconds of the epoch by the clock of the place, where the version rests on a clock."""
    is_folder: bool = False
    """A folder that is a delivery as a whole, and packed as it is read; `size` is that of its files."""

    @property
    def name(self) -> str:
        return self.address.rpartition("/")[2]

    def pieces(self) -> Iterator[bytes]:
        return self.place.pieces(self)


@dataclass(frozen=True)
class NotTaken:
    """A delivery, or a place, that was left; nothing of it was landed, and it has no receipt."""

    address: str
    outcome: str
    """`not_fetched` (it could not be read), `changing` (its sender is at it still), `other_region`, `waiting` (for a
    region that is in use; in a watch also for room on the disk), `failed` (our own code did on it), `killed` (its
    process was, twice)."""
    detail: str


@dataclass
class Look:
    """What was seen in some places at one time."""

    found: list[Found] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    """What could not be listed."""


class Place:
    """A file or folder of this machine, and what all kinds of places have in common.

    A lost connection is made anew, `network.tries` times in all without a piece between them, and reading goes on
    where it broke. What was given up costs the next file one try alone, and a second failure in a row all others none,
    until the next look: a server that went down is not waited for once more with each of a thousand files.
    """

    origin = ""
    """What stands before a path in an address."""
    lasting: tuple[type[BaseException], ...] = (OSError,)
    """Errors that another try would only repeat."""
    passing: tuple[type[BaseException], ...] = ()
    """Errors after which another try may help."""

    def __init__(self, root: str, network: NetworkLimits) -> None:
        self.root = root
        self.network = network
        self._files: AbstractFileSystem | None = None
        self._n_given_up = 0
        """In a row."""

    @property
    def address(self) -> str:
        return self._address(self.root)

    def look(self) -> Look:
        """The deliveries that lie here now; what cannot be listed is told, and the rest goes on."""
        self._n_given_up = min(self._n_given_up, 1)
        look = Look()
        try:
            self._search(look)
        except PlaceError as error:
            look.not_taken.append(NotTaken(self.address, "not_fetched", str(error)))
        return look

    def pieces(self, found: Found) -> Iterator[bytes]:
        """The file's bytes, at most `PIECE_BYTES` at a time.

        Raises `PlaceError` when it cannot be read and `ChangedError` when it is not the file that was listed; the last
        check comes after the last piece, so a file is whole only when the iterator has ended.
        """
        if found.is_folder:
            yield from self._packed(found)
            return
        at = 0
        while at < found.size and (piece := self._piece(found.path, at, min(at + PIECE_BYTES, found.size))):
            at += len(piece)
            yield piece
        info = self._info(found.path)
        if not (at == info["size"] == found.size and self._version(info) == (found.version, found.modified)):
            raise ChangedError("it changed while it was read")

    def _connect(self) -> AbstractFileSystem:
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem()

    def _list(self, files: AbstractFileSystem, folder: str) -> list[_Info]:
        infos: list[_Info] = files.ls(folder, detail=True)
        return infos

    def _stat(self, files: AbstractFileSystem, path: str) -> _Info:
        info: _Info = files.info(path)
        return info

    def _read(self, files: AbstractFileSystem, path: str, start: int, end: int) -> bytes:
        with Path(path).open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(end - start)

    def _version(self, info: _Info) -> tuple[str, float | None]:
        return f"{info['mtime']!r} {info['created']!r} {info['ino']}", info["mtime"]

    def _words(self, error: BaseException) -> str:
        """What went wrong and, where the user can do something, what."""
        return getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _address(self, path: str) -> str:
        return self.origin + "/".join(_readable(part) for part in path.split("/"))

    def _found(self, info: _Info) -> Found:
        version, modified = self._version(info)
        return Found(self, info["name"], self._address(info["name"]), info["size"], version, modified)

    def _folder(self, path: str) -> Found | None:
        """The delivery that a folder is as a whole, if it is one; only those of this machine can be packed."""
        try:
            if not folders.is_delivery(Path(path)):
                return None
            state = folders.state(Path(path))
        except OSError as error:
            raise PlaceError(self._words(error)) from error
        return Found(self, path, self._address(path), state.size, state.version, state.modified, is_folder=True)

    def _packed(self, found: Found) -> Iterator[bytes]:
        try:
            yield from folders.packed(Path(found.path))
        except FileNotFoundError as error:
            raise ChangedError("it changed while it was read") from error
        except OSError as error:
            raise PlaceError(self._words(error)) from error
        if self._folder(found.path) != found:
            raise ChangedError("it changed while it was read")

    def _search(self, look: Look) -> None:
        root = self._info(self.root)
        if root["type"] == "file":
            look.found.append(self._found(root))
        elif folder := self._folder(self.root):
            look.found.append(folder)
        else:
            self._look_into(self.root, look)

    def _look_into(self, folder: str, look: Look) -> None:
        for listed in self._patiently(lambda files: self._list(files, folder)):
            path = listed["name"]
            try:
                if listed["type"] == "directory":
                    if folder_found := self._folder(path):
                        look.found.append(folder_found)
                    else:
                        self._look_into(path, look)
                    continue
                info = self._behind(path) if listed["type"] == "link" or listed.get("islink") else listed
                if info["type"] == "directory" and not self._is_searched(path):
                    # Followed, it might lead round in a circle or anywhere else.
                    raise PlaceError("it is a link to a folder, which is not followed; name that folder as a place too")
                if info["type"] == "file" and _is_delivery(path):
                    look.found.append(self._found(info | {"name": path}))
            except PlaceError as error:
                look.not_taken.append(NotTaken(self._address(path), "not_fetched", str(error)))

    def _behind(self, link: str) -> _Info:
        """What a link leads to; one to nothing matters only where a delivery would be."""
        try:
            return self._info(link)
        except PlaceError:
            if _is_delivery(link):
                raise
            return {"type": "other"}

    def _is_searched(self, link: str) -> bool:
        """Whether the folder that a link leads to is searched by its own path."""
        return Path(link).resolve().is_relative_to(Path(self.root).resolve())

    def _info(self, path: str) -> _Info:
        return self._patiently(lambda files: self._stat(files, path))

    def _piece(self, path: str, start: int, end: int) -> bytes:
        return self._patiently(lambda files: self._read(files, path, start, end))

    def _patiently(self, act: Callable[[AbstractFileSystem], _T]) -> _T:
        """Do it; after a passing error connect anew and do it again, each time after a longer wait."""
        if self._n_given_up > 1:
            raise PlaceError("the connection was lost before it came to this one")
        tries = 1 if self._n_given_up else self.network.tries
        tried = 0
        while True:
            try:
                if self._files is None:
                    self._files = self._connect()
                done = act(self._files)
                self._n_given_up = 0
                return done
            except FileNotFoundError as error:
                raise ChangedError("there is no such file or folder") from error
            except self.lasting as error:
                raise PlaceError(self._words(error)) from error
            except self.passing as error:
                self._files = None
                tried += 1
                if tried == tries:
                    self._n_given_up += 1
                    raise PlaceError(f"{self._words(error)} (tried {tried} times)") from error
                time.sleep(self.network.backoff_seconds * 2 ** (tried - 1))


class SftpPlace(Place):
    """A file or folder on an SFTP server. Keys come from `~/.ssh`, its config or the agent; host keys must be known."""

    def __init__(self, user: str | None, host: str, port: int | None, root: str, network: NetworkLimits) -> None:
        import asyncssh

        super().__init__(root, network)
        self._user, self._host, self._port = user, host, port
        self.origin = f"sftp://{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}"
        self.lasting = (
            PermissionError,
            asyncssh.HostKeyNotVerifiable,
            asyncssh.KeyExchangeFailed,
            asyncssh.SFTPPermissionDenied,
        )
        # ValueError: the pool of channels got none, which is how a connection lost just now shows.
        self.passing = (OSError, asyncssh.Error, ValueError)

    def _connect(self) -> AbstractFileSystem:
        from sshfs import SSHFileSystem

        seconds = self.network.timeout_seconds
        options: dict[str, Any] = {"username": self._user} if self._user else {}
        if self._port:
            options["port"] = self._port
        return SSHFileSystem(
            self._host.strip("[]"),
            skip_instance_cache=True,
            # Left to itself sshfs trusts every host, and so does a `UserKnownHostsFile none`.
            known_hosts=[str(path) for name in _KNOWN_HOSTS if (path := Path(name).expanduser()).is_file()],
            connect_timeout=seconds,
            login_timeout=seconds,
            keepalive_interval=seconds / 3,
            keepalive_count_max=3,
            sftp_client_kwargs={"path_errors": "surrogateescape"},
            **options,
        )

    def _folder(self, path: str) -> Found | None:
        return None

    def _is_searched(self, link: str) -> bool:
        return False

    def _stat(self, files: AbstractFileSystem, path: str) -> _Info:
        info: _Info = files.info(path, timeout=self.network.timeout_seconds)
        return info

    def _read(self, files: AbstractFileSystem, path: str, start: int, end: int) -> bytes:
        with files.open(path, "rb") as stream:
            stream.seek(start)
            content: bytes = stream.read(end - start, timeout=self.network.timeout_seconds)
            return content

    def _version(self, info: _Info) -> tuple[str, float | None]:
        modified = info["mtime"].timestamp()
        return f"{modified:.0f}", modified

    def _words(self, error: BaseException) -> str:
        import asyncssh

        cause = error.__cause__ or error
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            at = f"-p {self._port} {self._host}" if self._port else self._host
            return (
                f"{self._host} shows a host key that {_KNOWN_HOSTS[0]} and {_KNOWN_HOSTS[1]} do not vouch for. Ask its "
                f"owner for the key's fingerprint, compare it with `ssh-keyscan {at} | ssh-keygen -lf -`, and only if "
                f"they are equal add the key: `ssh-keyscan {at} >> {_KNOWN_HOSTS[0]}`"
            )
        if isinstance(cause, asyncssh.PermissionDenied):
            return f"{cause.reason}: the server takes no key of ~/.ssh or the agent; have one allowed there"
        return super()._words(error)


class S3Place(Place):
    """A prefix of an S3 bucket. Credentials come from the usual AWS variables, profile or instance role."""

    origin = "s3://"

    def __init__(self, root: str, endpoint: str | None, network: NetworkLimits) -> None:
        from aiohttp import ClientError as HttpError
        from botocore import exceptions as boto

        super().__init__(root, network)
        self._endpoint = endpoint
        self.lasting = (
            PermissionError,
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.ProfileNotFound,
            boto.ParamValidationError,
            ValueError,
        )
        self.passing = (OSError, boto.BotoCoreError, HttpError)

    def _search(self, look: Look) -> None:
        """A bucket has no folders: all keys below the prefix come in one listing."""
        for info in self._patiently(lambda files: files.find(self.root, detail=True)).values():
            if info["type"] == "file" and (_is_delivery(info["name"]) or info["name"] == self.root):
                look.found.append(self._found(info))

    def _connect(self) -> AbstractFileSystem:
        from s3fs import S3FileSystem

        seconds = self.network.timeout_seconds
        files = S3FileSystem(
            endpoint_url=self._endpoint,
            skip_instance_cache=True,
            use_listings_cache=False,
            config_kwargs={"connect_timeout": seconds, "read_timeout": seconds, "retries": {"max_attempts": 0}},
        )
        files.retries = 1  # `_patiently` alone tries again, and says so.
        return files

    def _read(self, files: AbstractFileSystem, path: str, start: int, end: int) -> bytes:
        content: bytes = files.cat_file(path, start=start, end=end)
        return content

    def _version(self, info: _Info) -> tuple[str, float | None]:
        return str(info["ETag"]), None

    def _words(self, error: BaseException) -> str:
        from botocore import exceptions as boto

        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
            return "no S3 credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        if isinstance(error, PermissionError):
            return f"the S3 server refuses: {super()._words(error)}"
        return super()._words(error)


def place_of(where: str | Path, settings: Settings) -> Place:
    """The place that a user names: a path, `sftp://[user@]host[:port]/path` or `s3://bucket[/prefix]`.

    Raises `UsageError`, which never repeats a password, when it is none of these or a path that does not exist.
    """
    match = _SCHEME.fullmatch(str(where))
    if match is None:
        path = Path(where).absolute()
        if not path.exists():
            raise UsageError(f"{where} does not exist.")
        return Place(str(path), settings.network)
    scheme, rest = match[1].lower(), match[2]
    before_path = rest.partition("/")[0]
    if scheme not in ("sftp", "s3"):
        raise UsageError(
            f"{scheme}:// is no place that deliveries can be fetched from; name a folder, "
            "sftp://user@host/path or s3://bucket/prefix."
        )
    if ":" in before_path.rpartition("@")[0] or (scheme == "s3" and "@" in before_path):
        raise UsageError(
            f"A password or key stands in an address of {scheme}://, where others can read it. "
            + (
                "Use an SSH key in ~/.ssh or an agent."
                if scheme == "sftp"
                else "Use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            )
        )
    if scheme == "s3":
        if not before_path:
            raise UsageError("An S3 place is s3://bucket/prefix; here the bucket is missing.")
        return S3Place(rest.rstrip("/"), _endpoint(settings), settings.network)
    parts = _SFTP.fullmatch(rest)
    if parts is None:
        raise UsageError("An SFTP place is sftp://user@host:port/path; this one cannot be read as that.")
    user, host, port, root = parts.groups()
    return SftpPlace(user, host, int(port) if port else None, (root or "/").rstrip("/") or "/", settings.network)


def look(places: Iterable[Place]) -> Look:
    """What lies in all the places, each file once, in order of name."""
    seen = Look()
    found: dict[str, Found] = {}
    for place in places:
        here = place.look()
        seen.not_taken += here.not_taken
        found |= {one.address: one for one in here.found}
    seen.found = sorted(found.values(), key=lambda one: (one.name, one.address))
    return seen


def _endpoint(settings: Settings) -> str | None:
    endpoint = settings.s3_endpoint
    if endpoint is None:
        return None
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError("RUAM_S3_ENDPOINT must be the address of an S3 server: https://host[:port].")
    if "@" in url.netloc:
        raise UsageError("RUAM_S3_ENDPOINT must not hold a password or key; use AWS_ACCESS_KEY_ID and its like.")
    return endpoint


def _is_delivery(path: str) -> bool:
    """By its name; one that begins with a dot is hidden: junk of a desktop, or an upload that is not finished."""
    name = path.rpartition("/")[2]
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _readable(name: str) -> str:
    """A name as people read it: bytes that are no UTF-8 are cp874, as older Thai systems write them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode(errors="surrogateescape").decode("cp874", errors="replace")
    return name
