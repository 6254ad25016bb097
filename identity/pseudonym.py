"""Pseudonyms: HMAC-SHA256 with two keys, 128 bits, as 32 hex digits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa

from identity.cid import classify, contradicts_nationality, is_numbered_by, normalise
from identity.hashing import Bytes, hmac_sha256, hmac_sha256_of_columns
from identity.keys import Keys

PSEUDONYM_BYTES = 16
_HEX = 2 * PSEUDONYM_BYTES
_PLACES = 1 << 18
"""Numbers whose pseudonyms are remembered: 10 MB."""
_REMEMBERED = 250_000
"""Stand-ins kept in memory by their number: some 55 MB at most."""


class _Recent:
    """The pseudonyms of numbers that came lately. One person stands in many files, and asks for them in each.

    A number has one place, by its hash; the next number of that place takes it. So nothing is searched or counted.
    """

    def __init__(self, places: int) -> None:
        """`places` is a power of 2."""
        self._last = np.uint64(places - 1)
        self._numbers = np.zeros(places, np.int64)
        self._made = np.zeros((places, 2 * PSEUDONYM_BYTES), np.uint8)

    def made(self, numbers: pl.Series, make: Callable[[Bytes], Bytes]) -> Bytes:
        """What `make` gives for the digits of each number (13, not all 0), (n, 32) bytes."""
        keys = numbers.cast(pl.Int64).to_numpy()
        places = numbers.hash().to_numpy() & self._last
        found: Bytes = self._made[places]
        new = np.flatnonzero(self._numbers[places] != keys)
        if len(new):
            digits = np.frombuffer(numbers.str.join("").item().encode("ascii"), np.uint8).reshape(len(keys), -1)
            found[new] = make(digits[new])
            self._numbers[places[new]], self._made[places[new]] = keys[new], found[new]
        return found


class Pseudonymiser:
    """Turns columns of citizen numbers into `(pseudonym, class)`; the numbers go no further."""

    def __init__(self, keys: Keys, *, remembered: int = _PLACES) -> None:
        """`remembered` is a power of 2: for how many numbers at most the pseudonyms stay in memory."""
        self._first = hmac_sha256(keys.linkage)
        self._second = hmac_sha256(keys.analysis)
        self._first_of_columns = hmac_sha256_of_columns(keys.linkage)
        self._second_of_columns = hmac_sha256_of_columns(keys.analysis)
        self._recent = _Recent(remembered)
        self._local_numbers: dict[str, str] = {}

    def pseudonym(self, text: str) -> str:
        """`HMAC(k2, HMAC(k1, text))`, both cut to 128 bits, in hex."""
        return self._both(text)[_HEX:]

    def linkage_pseudonym(self, text: str) -> str:
        """`HMAC(k1, text)`, cut to 128 bits, in hex: what the vault holds, and nothing outside it."""
        return self._both(text)[:_HEX]

    def of_linkage_pseudonym(self, p1: str) -> str:
        """`HMAC(k2, p1)` of a linkage pseudonym in hex: what `pseudonym` gives for the number that it was made of."""
        return self._second(bytes.fromhex(p1))[:PSEUDONYM_BYTES].hex()

    def _both(self, text: str) -> str:
        first = self._first(text.encode())[:PSEUDONYM_BYTES]
        return first.hex() + self._second(first)[:PSEUDONYM_BYTES].hex()

    def local_number(self, text: str) -> str:
        """What stands in a landing for a facility's own number that was a citizen number: 15 characters.

        From k1 alone, under a label of its own: it joins nothing but itself, and survives a change of k2.
        """
        return "x" + self._first(b"local number " + text.encode()).hex()[:14]

    def columns(
        self,
        numbers: pl.Series,
        name: str,
        *,
        facilities: pl.Series | None = None,
        nations: pl.Series | None = None,
        labors: pl.Series | None = None,
    ) -> pl.DataFrame:
        """Three text columns for the raw numbers: `<name>_pseudonym`, `<name>_class`, and `<name>_p1`.

        The last is the linkage pseudonym, which goes to the vault alone. It and the first are null unless valid. What a
        row knows beside the number may make it unusable: `facilities`, the HOSPCODE of each row, and of the number's
        own bearer NATION and LABOR.
        """
        rows = _by_number(numbers, self._of_many)
        if facilities is not None and rows.select(pl.col("cid").str.starts_with("0").any()).item():
            its_own = is_numbered_by(pl.col("cid"), pl.lit(facilities))
            rows = _reclassified(rows, its_own, "generated")
        if nations is not None or labors is not None:
            nation, labor = (pl.lit(one, None if one is not None else pl.String) for one in (nations, labors))
            contradiction = contradicts_nationality(pl.col("cid"), nation, labor)
            rows = _reclassified(rows, contradiction, "nationality_mismatch")
        made = pl.when(pl.col("class") == "valid").then("made")
        return rows.select(
            made.str.slice(_HEX).alias(f"{name}_pseudonym"),
            pl.col("class").alias(f"{name}_class"),
            made.str.slice(0, _HEX).alias(f"{name}_p1"),
        ).rechunk()

    def _of_many(self, numbers: pl.Series) -> pl.Series:
        """Both pseudonyms of each number of 13 digits, in hex."""
        if numbers.is_empty():
            return pl.Series(dtype=pl.String)
        made = self._recent.made(numbers, self._of_digits)
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_HEX), len(made), [None, pa.py_buffer(made)])
        return pl.Series(column).bin.encode("hex")

    def _of_digits(self, digits: Bytes) -> Bytes:
        first = self._first_of_columns(digits)[:, :PSEUDONYM_BYTES]
        return np.hstack([first, self._second_of_columns(first)[:, :PSEUDONYM_BYTES]])

    def stand_ins(self, numbers: pl.Series) -> pl.Series:
        """`local_number` for every value that is not empty, once for each distinct one; the last are remembered."""
        distinct, known = numbers.drop_nulls().unique(), self._local_numbers
        if len(known) + len(distinct) > _REMEMBERED:
            known.clear()
        known.update((number, self.local_number(number)) for number in distinct if number not in known)
        made = pl.DataFrame(
            {"sent": distinct, "made": pl.Series([known[number] for number in distinct], dtype=pl.String)},
            schema={"sent": pl.String, "made": pl.String},
        )
        return pl.DataFrame({"sent": numbers}).join(made, on="sent", how="left", maintain_order="left")["made"]

    def local_numbers(self, numbers: pl.Series) -> pl.Series:
        """`local_number` for each value that is a valid citizen number, null for the others."""
        return _by_number(numbers, lambda cids: pl.Series([self.local_number(cid) for cid in cids], dtype=pl.String))[
            "made"
        ]


def _reclassified(rows: pl.DataFrame, where: pl.Expr, name: str) -> pl.DataFrame:
    """`rows` with valid numbers put into another class."""
    return rows.with_columns(
        pl.when((pl.col("class") == "valid") & where).then(pl.lit(name)).otherwise("class").alias("class")
    )


def _by_number(numbers: pl.Series, make: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
    """`cid`, `class` of each raw number, and what `make` gives for the valid ones, once for each number as sent."""
    coded = numbers.to_arrow().dictionary_encode()
    sent = pl.DataFrame({"sent": pl.Series(coded.dictionary, dtype=pl.String)})
    people = sent.select(normalise(pl.col("sent")).alias("cid"))
    people = people.with_columns(classify(people["cid"]).alias("class"))
    is_valid = people["class"] == "valid"
    made = make(people["cid"].filter(is_valid))
    place = pl.when(is_valid).then(is_valid.cum_sum() - 1)
    people = people.with_columns(pl.lit(made).gather(place).alias("made"))
    rows = people.select(pl.all().gather(pl.Series(coded.indices, dtype=pl.UInt32)))
    return rows.with_columns(pl.col("class").fill_null("missing"))
