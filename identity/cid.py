"""Citizen numbers: what is usable to tell that two records are one person, and what is not."""

from __future__ import annotations

import csv
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

DUMMIES = ("1111111111119", "9999999999994", "1234567890121")
"""Numbers typed instead of a real one although their check digit is right (domain.md §4); rules know their kin."""

TYPED = Path(__file__).with_name("dummies.csv")
"""First twelve digits of dummies that no rule describes, each with a label."""

CLASSES = ("valid", "missing", "malformed", "bad_check_digit", "dummy", "generated", "nationality_mismatch")

UNUSABLE = CLASSES[2:]
"""Classes of numbers that were sent and may not join records; each is the rule that flags its row."""

THAI = "099"
"""NATION of a Thai national."""

_UNKNOWN_NATION = "999"
_OF_THAIS_ALONE, _OF_OTHERS_ALONE = ("1", "2"), ("0", "6", "7")
"""First digits: 1 and 2 are Thais whose birth was registered; 6 and 7 aliens without permanent leave and their
children, 0 people without civil status. 3, 4, 5 and 8 are given to both (domain.md §4)."""

_LABOR = r"^(0[1-9]|[1-3][0-9])$"
_SHAPE = r"^[0-9]{13}$"
_THAI_DIGITS = dict(zip("๐๑๒๓๔๕๖๗๘๙", "0123456789", strict=True))
_BLANKS = r"[\s\-\u00a0\u200b\ufeff]"
_WEIGHTS = np.arange(13, 1, -1, dtype=np.int32)

_Digits = npt.NDArray[np.uint8]
_Flags = npt.NDArray[np.bool_]


def normalise(numbers: pl.Expr) -> pl.Expr:
    """Text to text: Thai digits to Arabic, blanks and hyphens out, empty to null."""
    is_plain = numbers.str.contains(_SHAPE)
    # The others are few, and of an empty cell nothing is replaced.
    odd = pl.when(~is_plain).then(numbers).str.replace_many(_THAI_DIGITS).str.replace_all(_BLANKS, "")
    return pl.when(is_plain).then(numbers).when(odd.str.len_bytes() > 0).then(odd)


def has_right_check_digit(numbers: pl.Series) -> pl.Series:
    """Boolean for each 13-digit text.

    Rule: d13 = (11 - sum(d_i * (14 - i), i = 1..12) mod 11) mod 10 (domain.md §4).
    """
    return pl.Series(_is_right(_digits(numbers)))


def classify(numbers: pl.Series) -> pl.Series:
    """Class of each normalised number (text, null when none was sent) by the number alone: one of the first six.

    Only `valid` may join records: a dummy or a generated number would make one person of many.
    """
    is_shaped = numbers.str.contains(_SHAPE).fill_null(value=False)
    shaped = pl.DataFrame({"cid": numbers.filter(is_shaped)})
    head, first = pl.col("cid").str.head(12), pl.col("cid").str.head(1)
    classes = shaped.select(
        pl.when(~pl.Series(_is_right(_digits(shaped["cid"]))))
        .then(pl.lit("bad_check_digit"))
        .when(head.is_in(_dummies()))
        .then(pl.lit("dummy"))
        # No registry gives these out, so a program made them: 00 is refused by the ministry's own check, and there is
        # no class 9 (domain.md §4).
        .when((first == "9") | pl.col("cid").str.starts_with("00"))
        .then(pl.lit("generated"))
        .otherwise(pl.lit("valid"))
        .alias("class")
    )["class"]
    others = pl.when(pl.lit(numbers).is_null()).then(pl.lit("missing")).otherwise(pl.lit("malformed"))
    return pl.select(others.alias("cid_class")).to_series().scatter(is_shaped.arg_true(), classes)


def is_numbered_by(cid: pl.Expr, hospcode: pl.Expr) -> pl.Expr:
    """Whether a facility's program made the number: 0, the facility's own code, a running number.

    The code of another facility proves nothing: most codes exist, so that a third of all real numbers bear one.
    """
    return cid.str.starts_with("0") & (cid.str.slice(1, 5) == hospcode.str.zfill(5))


def contradicts_nationality(cid: pl.Expr, nation: pl.Expr, labor: pl.Expr) -> pl.Expr:
    """Whether the first digit is one of Thais alone on a foreign national, or the reverse (measures.md §5, tier A).

    `nation` and `labor` are PERSON's columns as text. LABOR is empty for Thais, so it decides where NATION is unknown;
    where the two disagree nothing is known, and no number contradicts it. Which kind of alien LABOR names is not
    compared: programs keep it when the person's status has long changed.
    """
    code = nation.str.zfill(3)
    is_alien = labor.str.contains(_LABOR).fill_null(value=False)
    is_known = (code.is_not_null() & (code != _UNKNOWN_NATION)).fill_null(value=False)
    is_thai = is_known & (code == THAI)
    first = cid.str.head(1)
    of_thai = is_thai & ~is_alien
    of_other = ~is_thai & (is_known | is_alien)
    return (of_thai & first.is_in(_OF_OTHERS_ALONE)) | (of_other & first.is_in(_OF_THAIS_ALONE))


@cache
def _dummies() -> list[str]:
    """First twelve digits that a finger makes: one digit, two or three over and over, one and then another eleven
    times, or counting up or down (9 is followed by 0); and those of `TYPED`. Some 1,200 of 10¹², so nobody real is
    likely among them."""
    digits = "0123456789"
    over_and_over = ["".join(few) * (12 // len(few)) for n in (1, 2, 3) for few in product(digits, repeat=n)]
    after_one = [one + other * 11 for one in digits for other in digits]
    up = [(digits * 3)[at : at + 12] for at in range(10)]
    with TYPED.open(encoding="utf-8", newline="") as handle:
        typed = [row["first_twelve"] for row in csv.DictReader(handle)]
    return sorted({*over_and_over, *after_one, *up, *(head[::-1] for head in up), *typed})


def _digits(numbers: pl.Series) -> _Digits:
    """One row of 13 digits for each number."""
    return np.frombuffer("".join(numbers.to_list()).encode("ascii"), dtype=np.uint8).reshape(-1, 13) - ord("0")


def _is_right(digits: _Digits) -> _Flags:
    right: _Flags = (11 - (digits[:, :12].astype(np.int32) @ _WEIGHTS) % 11) % 10 == digits[:, 12]
    return right
