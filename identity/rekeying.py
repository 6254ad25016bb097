"""Pseudonyms of one analysis key turned into those of another: p2 to p2, by the p1 that both were made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from identity.hashing import Bytes, hmac_sha256_of_columns
from identity.pseudonym import PSEUDONYM_BYTES

LINKAGE_PSEUDONYM = "p1"
"""Column of the frames that a rekeying is made of: 16 bytes each."""


class UnknownPseudonymError(LookupError):
    """Pseudonyms that were made of no linkage pseudonym which is known; `n` of them, all different."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.n = n


class Rekeying:
    """Gives for each pseudonym under the old key the one under the new key.

    Held sorted in memory, 32 bytes a person; some 72 while it is made.
    """

    def __init__(self, old: bytes, new: bytes, linkage_pseudonyms: Iterable[pl.DataFrame]) -> None:
        """`old` and `new` are analysis keys; the frames have the column `p1` and may repeat values."""
        with_old, with_new = hmac_sha256_of_columns(old), hmac_sha256_of_columns(new)
        before, after = bytearray(), bytearray()
        for frame in linkage_pseudonyms:
            first = _rows(b"".join(frame[LINKAGE_PSEUDONYM]))
            before += with_old(first)[:, :PSEUDONYM_BYTES].tobytes()
            after += with_new(first)[:, :PSEUDONYM_BYTES].tobytes()
        halves = _halves(before)
        order = np.argsort(halves[:, 0], kind="stable")
        self._first, self._second = halves[order, 0], halves[order, 1]
        self._after = _rows(after)[order]

    def column(self, pseudonyms: pl.Series) -> pl.Series:
        """The column under the new key, nulls as they are. Raises `UnknownPseudonymError`."""
        distinct = pseudonyms.drop_nulls().unique()
        if distinct.is_empty():
            return pseudonyms
        is_shaped = distinct.str.contains(f"^[0-9a-f]{{{2 * PSEUDONYM_BYTES}}}$")
        if not is_shaped.all():
            raise UnknownPseudonymError(int((~is_shaped).sum()))
        places = self._places(_halves(bytes.fromhex("".join(distinct))))
        if n_unknown := int((places < 0).sum()):
            raise UnknownPseudonymError(n_unknown)
        width = 2 * PSEUDONYM_BYTES
        after = self._after[places].tobytes().hex()
        made = pl.Series([after[at : at + width] for at in range(0, len(after), width)], dtype=pl.String)
        return pseudonyms.replace_strict(distinct, made, default=None, return_dtype=pl.String)

    def _places(self, wanted: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Where each is among the sorted, -1 where it is not. Equal first halves are walked through."""
        found = np.full(len(wanted), -1, np.int64)
        at = np.searchsorted(self._first, wanted[:, 0])
        open_ = np.arange(len(wanted))
        while len(open_):
            open_ = open_[at[open_] < len(self._first)]
            open_ = open_[self._first[at[open_]] == wanted[open_, 0]]
            is_it = self._second[at[open_]] == wanted[open_, 1]
            found[open_[is_it]] = at[open_[is_it]]
            open_ = open_[~is_it]
            at[open_] += 1
        return found


def _rows(pseudonyms: bytes | bytearray) -> Bytes:
    """A row of 16 bytes for each pseudonym."""
    return np.frombuffer(pseudonyms, np.uint8).reshape(-1, PSEUDONYM_BYTES)


def _halves(pseudonyms: bytes | bytearray) -> npt.NDArray[np.uint64]:
    """Two numbers for each pseudonym."""
    return np.frombuffer(pseudonyms, ">u8").astype(np.uint64).reshape(-1, 2)
