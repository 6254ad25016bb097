"""Files that appear whole or not at all, and locks that die with their process."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EROFS
from pathlib import Path
from time import monotonic, sleep

from ruam.errors import BusyError, StorageError, UsageError
from ruam.faults import point

_REMEDIES = {
    ENOSPC: "Make room on that disk",
    EDQUOT: "Make room within the quota of that disk",
    EFBIG: "Raise the limit on the size of files (ulimit -f)",
    EIO: "The disk may be failing: have it checked",
    EACCES: "Give the user that runs ruam the right to write there",
    EPERM: "Give the user that runs ruam the right to write there",
    EROFS: "Mount that disk for writing",
}
"""What to do about the errors of a disk."""


LOOK_AGAIN_SECONDS = 0.1


def stamp(now: datetime) -> str:
    """A UTC time, to the microsecond, as names begin with it: they sort by it.

    The Z stands between its digits and what follows, or the two could be taken for a citizen number and hidden.
    """
    return f"{now:%Y%m%dT%H%M%S%f}Z"


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_way(folder: Path, root: Path) -> None:
    """`sync_folder`, and the same for the folders above up to `root`, in which one on the way may be new."""
    for one in (folder, *folder.parents):
        sync_folder(one)
        if one == root:
            return


def sync_file(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


FEW = 64
"""So many files are each made durable by a call of its own; for more, one call for the file system costs less."""


def sync_all(paths: Sequence[Path], root: Path) -> None:
    """Make files below `root` and their names durable."""
    if len(paths) <= FEW:
        for path in paths:
            sync_file(path)
        for folder in {folder for path in paths for folder in path.parents if folder.is_relative_to(root)}:
            sync_folder(folder)
        return
    descriptor = os.open(root, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(descriptor)


def is_of_disk(error: BaseException) -> bool:
    """Whether it is for whoever runs the machine to mend, as `storage_errors` says."""
    return isinstance(error, OSError) and error.errno in _REMEDIES


@contextmanager
def storage_errors(what: str, where: Path) -> Iterator[None]:
    """Turn the errors of a disk into a `StorageError` that says what was being done, where, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        reason = error.strerror or str(error)
        at = Path(str(error.filename)) if error.filename else where
        raise StorageError(
            f"{what} stopped: {reason} ({at}). What was begun is not kept, what was committed is. "
            f"{_REMEDIES[error.errno]}, then run the same command again."
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        point("replace.written")
        sync_file(temporary)
        point("replace.synced")
        temporary.replace(path)
        point("replace.renamed")
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, marker: str) -> Iterator[Path]:
    """Yield a new folder beside `path` that takes its place whole when the block ends well.

    What stands there is replaced in one step if it is empty or holds the file `marker`, which says that it was made
    the same way. Raises `UsageError` for anything else: it may be somebody's work.
    """
    if path.exists() and not (path.is_dir() and ((path / marker).is_file() or not any(path.iterdir()))):
        raise UsageError(f"{path} holds something else. Name a new folder, or one that this command made before.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        sync_all([one for one in temporary.rglob("*") if one.is_file()], temporary)
        if path.exists():
            _exchange(temporary, path)  # What was there is now the temporary one.
        else:
            temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Let two names change places at once."""
    at_working_folder, both = -100, 2
    if ctypes.CDLL(None, use_errno=True).renameat2(
        at_working_folder, os.fsencode(one), at_working_folder, os.fsencode(other), both
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


@contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[int]:
    """Hold an exclusive lock on `path`; yields its descriptor.

    The kernel frees it when the last process that shares the descriptor has ended, however it ends. Raises
    `BusyError` at once when another process holds it, unless it may `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise BusyError(f"{what} is in use by process {holder}. Wait for it to end, then try again.") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield handle.fileno()


@contextmanager
def locked_within(path: Path, what: str, seconds: float, waiting: Callable[[str], None]) -> Iterator[int]:
    """`locked`, after waiting for another process at most so many seconds; `waiting` is told once who it is."""
    deadline = monotonic() + seconds
    is_told = False
    with ExitStack() as held:
        while True:
            try:
                descriptor = held.enter_context(locked(path, what))
                break
            except BusyError as error:
                if monotonic() >= deadline:
                    raise
                if not is_told:
                    waiting(str(error))
                    is_told = True
                sleep(LOOK_AGAIN_SECONDS)
        yield descriptor


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a lock on `path` together with others; waits for the short while in which one holds it alone."""
    with _lock_file(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Yield whether nobody shares the lock on `path` now; if so, nobody will until the block ends.

    With `wait` that is waited for.
    """
    with _lock_file(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def holder(path: Path) -> str | None:
    """The process that holds `path` (`locked`), None when nobody does."""
    try:
        with path.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return handle.read().strip() or "unknown"
    except FileNotFoundError:
        pass
    return None


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
