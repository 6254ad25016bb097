"""Pseudonyms: HMAC-SHA256 with two keys, 128 bits, as 32 hex digits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import polars as pl

from identity.cid import classify, normalise
from identity.keys import Keys

PSEUDONYM_BYTES = 16
_BLOCK = 64


def _hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 (RFC 2104) with both pads hashed once: twice as fast as `hmac.digest` on short messages."""
    padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(message: bytes) -> bytes:
        first, second = inner.copy(), outer.copy()
        first.update(message)
        second.update(first.digest())
        return second.digest()

    return digest


class Pseudonymiser:
    """Turns columns of citizen numbers into `(pseudonym, class)`; the numbers go no further."""

    def __init__(self, keys: Keys) -> None:
        self._first = _hmac_sha256(keys.linkage)
        self._second = _hmac_sha256(keys.analysis)

    def pseudonym(self, text: str) -> str:
        """`HMAC(k2, HMAC(k1, text))`, both cut to 128 bits, in hex."""
        return self._second(self._first(text.encode())[:PSEUDONYM_BYTES])[:PSEUDONYM_BYTES].hex()

    def local_number(self, text: str) -> str:
        """What stands in a landing for a facility's own number that was a citizen number: 15 characters.

        From k1 alone, under a label of its own: it joins nothing but itself, and survives a change of k2.
        """
        return "x" + self._first(b"local number " + text.encode()).hex()[:14]

    def columns(self, numbers: pl.Series, name: str) -> pl.DataFrame:
        """Two text columns for the raw numbers: `<name>_pseudonym` (null unless valid) and `<name>_class`."""
        return _by_number(numbers, self.pseudonym).select(
            pl.col("made").alias(f"{name}_pseudonym"), pl.col("class").alias(f"{name}_class")
        )

    def stand_ins(self, numbers: pl.Series) -> pl.Series:
        """`local_number` for every value that is not empty, once for each distinct one."""
        distinct = numbers.drop_nulls().unique()
        made = pl.DataFrame(
            {"sent": distinct, "made": pl.Series([self.local_number(number) for number in distinct], dtype=pl.String)},
            schema={"sent": pl.String, "made": pl.String},
        )
        return pl.DataFrame({"sent": numbers}).join(made, on="sent", how="left", maintain_order="left")["made"]

    def local_numbers(self, numbers: pl.Series) -> pl.Series:
        """`local_number` for each value that is a valid citizen number, null for the others."""
        return _by_number(numbers, self.local_number)["made"]


def _by_number(numbers: pl.Series, make: Callable[[str], str]) -> pl.DataFrame:
    """`class` of each raw number, and what `make` gives for the valid ones, once for each distinct number."""
    sent = pl.DataFrame({"cid": numbers}).select(normalise(pl.col("cid")))
    people = sent.unique()
    people = people.with_columns(classify(people["cid"]).alias("class"))
    valid = people.filter(pl.col("class") == "valid").select("cid")
    valid = valid.with_columns(pl.Series("made", [make(cid) for cid in valid["cid"]], dtype=pl.String))
    return sent.join(people, on="cid", how="left", nulls_equal=True, maintain_order="left").join(
        valid, on="cid", how="left", maintain_order="left"
    )
