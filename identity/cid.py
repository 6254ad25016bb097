"""Citizen numbers: what is usable to tell that two records are one person, and what is not."""

from __future__ import annotations

import numpy as np
import polars as pl

DUMMIES = ("1111111111119", "9999999999994", "1234567890121")
"""Numbers typed instead of a real one although their check digit is right (domain.md §4)."""

CLASSES = ("valid", "missing", "malformed", "bad_check_digit", "dummy", "generated")

_THAI_DIGITS = dict(zip("๐๑๒๓๔๕๖๗๘๙", "0123456789", strict=True))
_BLANKS = r"[\s\-\u00a0\u200b\ufeff]"
_WEIGHTS = np.arange(13, 1, -1, dtype=np.int32)


def normalise(numbers: pl.Expr) -> pl.Expr:
    """Text to text: Thai digits to Arabic, blanks and hyphens out, empty to null."""
    plain = numbers.str.replace_many(_THAI_DIGITS).str.replace_all(_BLANKS, "")
    return pl.when(plain.str.len_bytes() > 0).then(plain)


def has_right_check_digit(numbers: pl.Series) -> pl.Series:
    """Boolean for each 13-digit text.

    Rule: d13 = (11 - sum(d_i * (14 - i), i = 1..12) mod 11) mod 10 (domain.md §4).
    """
    digits = np.frombuffer("".join(numbers.to_list()).encode("ascii"), dtype=np.uint8).reshape(-1, 13) - ord("0")
    checks = (11 - (digits[:, :12].astype(np.int32) @ _WEIGHTS) % 11) % 10
    return pl.Series(checks == digits[:, 12])


def classify(numbers: pl.Series) -> pl.Series:
    """One of `CLASSES` for each normalised number (text, null when none was sent).

    Only `valid` may join records: a dummy or a generated number would make one person of many.
    """
    frame = pl.DataFrame({"cid": numbers}).with_columns(
        shaped=pl.col("cid").str.contains(r"^[0-9]{13}$").fill_null(value=False)
    )
    checked = frame.filter("shaped").select(pl.col("cid").unique())
    right = checked.filter(has_right_check_digit(checked["cid"]))["cid"]
    cid = pl.col("cid")
    repeated = pl.any_horizontal(*(cid.str.starts_with(digit * 12) for digit in "0123456789"))
    return frame.select(
        pl.when(cid.is_null())
        .then(pl.lit("missing"))
        .when(~pl.col("shaped"))
        .then(pl.lit("malformed"))
        .when(~cid.is_in(right.implode()))
        .then(pl.lit("bad_check_digit"))
        .when(cid.is_in(DUMMIES) | repeated)
        .then(pl.lit("dummy"))
        .when(cid.str.starts_with("00"))
        .then(pl.lit("generated"))
        .otherwise(pl.lit("valid"))
        .alias("cid_class")
    )["cid_class"]
