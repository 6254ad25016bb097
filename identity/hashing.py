"""HMAC-SHA256 (RFC 2104) of one message at a time, and of whole columns (decision 15)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh
import pyarrow as pa

DIGEST_BYTES = 32
_BLOCK = 64
_TOGETHER = 16_384
"""Messages hashed together: what they take stays in the processor's cache."""

Bytes = npt.NDArray[np.uint8]


def hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """The digest of a message, with both pads hashed once: twice as fast as `hmac.digest` on short messages."""
    inner, outer = (hashlib.sha256(pad) for pad in _pads(key))

    def digest(message: bytes) -> bytes:
        first, second = inner.copy(), outer.copy()
        first.update(message)
        second.update(first.digest())
        return second.digest()

    return digest


def hmac_sha256_of_columns(key: bytes) -> Callable[[Bytes], Bytes]:
    """The digests, (n, 32) bytes, of n messages of one width, (n, width) bytes.

    The key is in the cells that are hashed, never in an expression: no plan and no error of Polars can show it.
    """
    inner, outer = (np.frombuffer(pad, np.uint8) for pad in _pads(key))

    def digests(messages: Bytes) -> Bytes:
        made = np.empty((len(messages), DIGEST_BYTES), np.uint8)
        for at in range(0, len(messages), _TOGETHER):
            made[at : at + _TOGETHER] = _sha256(outer, _sha256(inner, messages[at : at + _TOGETHER]))
        return made

    return digests


def _pads(key: bytes) -> tuple[bytes, bytes]:
    padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)


def _sha256(pad: Bytes, messages: Bytes) -> Bytes:
    """SHA-256 of the pad and each message."""
    n, width = messages.shape
    cells = np.empty((n, _BLOCK + width), np.uint8)
    cells[:, :_BLOCK], cells[:, _BLOCK:] = pad, messages
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_BLOCK + width), n, [None, pa.py_buffer(cells)])
    digests = pl.DataFrame({"cell": pl.Series(column)}).select(plh.col("cell").chash.sha2_256().str.join(""))
    return np.frombuffer(bytes.fromhex(digests.item()), np.uint8).reshape(n, DIGEST_BYTES)
