"""Sealed files: streamed AES-256-GCM, written once from front to back, read at any place with little memory.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as the format of age uses it. A file is a header
and chunks of 64 KiB of plain text, each with its 16-byte tag:

* header: magic, version, log2 of the chunk, id of the key, 32 random bytes of salt;
* the file's own key is HKDF-SHA256(key, salt), so that no nonce is ever used twice under one key;
* nonce of a chunk: its place (11 bytes), then 1 for the last one and 0 for all others;
* every chunk authenticates the header, the last one also the *label*, which says what the file is (a delivery's id).

A file that was cut off, put together otherwise, changed, or put in another's place does not open, or the read that
meets the place fails. Opening decrypts the last chunk, so that length and label are known to be right before a read.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ruam.errors import SetupError, StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAGIC = b"RUAMSEAL"
VERSION = 1
CHUNK = 1 << 16
TAG = 16
_HEADER = struct.Struct(">8sBB4s32s")
_PIECE = CHUNK + TAG


class BrokenSealError(StorageError):
    """A sealed file is not what was sealed: cut off, changed, or in another's place."""


@dataclass(frozen=True)
class SealKey:
    """A key of 32 bytes by its name, which is all that anybody is told of it."""

    name: str
    secret: bytes = field(repr=False)

    @cached_property
    def key_id(self) -> str:
        """8 hex digits."""
        return hashlib.sha256(b"ruam key id" + self.secret).hexdigest()[:8]


def sealed_size(plain: int) -> int:
    """Bytes of the sealed file of so many plain ones."""
    return _HEADER.size + plain + TAG * max(1, -(-plain // CHUNK))


def plain_size(sealed: int) -> int:
    """Bytes inside a sealed file of such a size; the inverse of `sealed_size`, negative for what is none."""
    body = sealed - _HEADER.size
    return body - TAG * max(1, -(-body // _PIECE))


def _cipher(key: SealKey, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"ruam sealed file").derive(key.secret))


def _nonce(place: int, *, last: bool) -> bytes:
    return place.to_bytes(11, "big") + bytes([last])


class Sealer(io.RawIOBase):
    """Writes plain bytes sealed into `out`. Before `finish` nothing is sealed: what was written so far never opens."""

    def __init__(self, out: BinaryIO, key: SealKey) -> None:
        super().__init__()
        salt = secrets.token_bytes(32)
        self._header = _HEADER.pack(MAGIC, VERSION, CHUNK.bit_length() - 1, bytes.fromhex(key.key_id), salt)
        self._cipher = _cipher(key, salt)
        self._out = out
        self._held = bytearray()
        self._place = self._size = 0
        out.write(self._header)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        """Plain bytes written so far."""
        return self._size

    def write(self, data: ReadableBuffer) -> int:
        with memoryview(data) as view:
            n_bytes = view.nbytes
            self._held += view
        self._size += n_bytes
        # The last chunk is marked, so that one is held back until more is known to follow.
        done = 0
        with memoryview(self._held) as held:
            while len(held) - done > CHUNK:
                self._put(held[done : done + CHUNK], self._header, last=False)
                done += CHUNK
        del self._held[:done]
        return n_bytes

    def finish(self, label: bytes) -> None:
        """Seal the file as what `label` says it is."""
        self._put(self._held, self._header + label, last=True)
        self._held.clear()

    def _put(self, chunk: bytearray | memoryview, authenticated: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._place, last=last), chunk, authenticated))
        self._place += 1


class Unsealer(io.RawIOBase):
    """Plain bytes of a sealed file, which may be read in any order; of one chunk at a time is more than asked for held.

    Raises `SetupError` for another key, and `BrokenSealError`, at once or where a damaged place is read.
    """

    def __init__(self, path: Path, key: SealKey, label: bytes) -> None:
        super().__init__()
        self._path = path
        self._at = 0
        self._descriptor = os.open(path, os.O_RDONLY)
        try:
            sealed = os.fstat(self._descriptor).st_size
            self.size = plain_size(sealed)
            self._header = self._checked_header(key)
            if self.size < 0:
                raise self._broken()
            self._label = label
            self._last = max(0, -(-(sealed - _HEADER.size) // _PIECE) - 1)
            self._cipher = _cipher(key, self._header[-32:])
            self._held_place, self._held = self._last, self._chunk(self._last)
        except BaseException:
            self.close()
            raise

    def _checked_header(self, key: SealKey) -> bytes:
        header = os.pread(self._descriptor, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            raise self._broken()
        magic, version, chunk, key_id, _ = _HEADER.unpack(header)
        if (magic, version, chunk) != (MAGIC, VERSION, CHUNK.bit_length() - 1):
            raise self._broken()
        if key_id.hex() != key.key_id:
            raise SetupError(
                f"{self._path} was sealed with key {key_id.hex()}, and the key `{key.name}` in force is {key.key_id}. "
                "Bring the right key back."
            )
        return header

    def _broken(self) -> BrokenSealError:
        return BrokenSealError(
            f"{self._path} is not what was sealed: it was cut off, changed or put in another's place. Have the disk "
            "checked, and restore the file from the backup or have it sent again."
        )

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence] + offset)
        return self._at

    def read(self, n: int = -1) -> bytes:
        end = self.size if n < 0 else min(self.size, self._at + n)
        if end <= self._at:
            return b""
        first, last = self._at // CHUNK, (end - 1) // CHUNK
        begin = self._at - first * CHUNK
        if first == last:
            found = self._chunk(first)[begin : begin + end - self._at]
        else:
            found = b"".join(self._chunks(first, last))[begin : begin + end - self._at]
        self._at = end
        return found

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer) as view:
            found = self.read(view.nbytes)
            view[: len(found)] = found
        return len(found)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def _chunk(self, place: int) -> bytes:
        """One chunk; the latest is kept, since small reads follow each other."""
        if place != getattr(self, "_held_place", None):
            (self._held,) = self._chunks(place, place)
            self._held_place = place
        return self._held

    def _chunks(self, first: int, last: int) -> Iterator[bytes]:
        sealed = os.pread(self._descriptor, (last - first + 1) * _PIECE, _HEADER.size + first * _PIECE)
        with memoryview(sealed) as view:
            for place in range(first, last + 1):
                is_last = place == self._last
                begin = (place - first) * _PIECE
                authenticated = self._header + self._label if is_last else self._header
                try:
                    yield self._cipher.decrypt(_nonce(place, last=is_last), view[begin : begin + _PIECE], authenticated)
                except InvalidTag:
                    raise self._broken() from None


@dataclass(frozen=True)
class Sealed:
    """A sealed file, its key, and what it must be; opened like a path."""

    path: Path
    key: SealKey
    label: str

    def open(self, mode: Literal["rb"] = "rb") -> Unsealer:
        """Plain bytes, seekable."""
        return Unsealer(self.path, self.key, self.label.encode())

    @property
    def size(self) -> int:
        """Of the plain bytes, by the file's length alone."""
        return plain_size(self.path.stat().st_size)

    def is_sealed_with_its_key(self) -> bool:
        """By the header alone; False where there is no file."""
        try:
            with self.path.open("rb") as file:
                header = file.read(_HEADER.size)
        except FileNotFoundError:
            return False
        return len(header) == _HEADER.size and header[10:14].hex() == self.key.key_id

    @contextmanager
    def writing(self, staging: Path) -> Iterator[Sealer]:
        """A `Sealer` into `staging`, sealed with the label when the block ends well. The caller puts it in place."""
        with staging.open("wb") as out:
            sealer = Sealer(out, self.key)
            yield sealer
            sealer.finish(self.label.encode())
