"""Pseudonyms of one analysis key, turned into those of another."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from identity.rekeying import Rekeying, UnknownPseudonymError

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
FIRST = st.binary(min_size=16, max_size=16)


def under(key: bytes, first: bytes) -> str:
    return hmac.new(key, first, hashlib.sha256).digest()[:16].hex()


def known(*first: bytes) -> list[pl.DataFrame]:
    return [pl.DataFrame({"p1": list(first)}, schema={"p1": pl.Binary})]


@given(st.lists(FIRST, max_size=60), st.lists(st.integers(0, 80), max_size=80))
@hypothesis_settings(max_examples=40)
def test_each_pseudonym_becomes_that_of_the_same_person(people: list[bytes], drawn: list[int]) -> None:
    rows = [people[at % len(people)] if people and at < 70 else None for at in drawn]
    rekeying = Rekeying(OLD, NEW, [*known(*people[:20]), *known(*people[10:])])
    column = pl.Series("p", [one and under(OLD, one) for one in rows], dtype=pl.String)
    made = rekeying.column(column)
    assert made.to_list() == [one and under(NEW, one) for one in rows]
    assert made.name == "p"


@given(st.lists(FIRST, min_size=1, max_size=20, unique=True))
@hypothesis_settings(max_examples=20)
def test_what_is_of_nobody_known_is_counted_and_nothing_is_made_of_it(people: list[bytes]) -> None:
    rekeying = Rekeying(OLD, NEW, known(*people[1:]))
    column = pl.Series([under(OLD, one) for one in people] * 2)
    with pytest.raises(UnknownPseudonymError) as caught:
        rekeying.column(column)
    assert caught.value.n == 1


@pytest.mark.parametrize("shown", ["", "x", "ไม่ใช่", "AB" * 16, "ab" * 15, "ab" * 17])
def test_what_is_no_pseudonym_is_of_nobody_known(shown: str) -> None:
    with pytest.raises(UnknownPseudonymError):
        Rekeying(OLD, NEW, known(bytes(16))).column(pl.Series([shown, under(OLD, bytes(16))]))


def test_pseudonyms_that_begin_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 64 equal bits of two people would be, which nobody can make by trying."""
    people = [bytes([n] * 16) for n in range(6)]

    def beginning_alike(key: bytes) -> object:
        start = np.frombuffer(bytes(8) if key == OLD else b"new_____", np.uint8)
        return lambda rows: np.hstack([np.tile(start, (len(rows), 1)), rows[:, :8]])

    monkeypatch.setattr("identity.rekeying.hmac_sha256_of_columns", beginning_alike)
    rekeying = Rekeying(OLD, NEW, known(*people))
    made = rekeying.column(pl.Series([(bytes(8) + one[:8]).hex() for one in reversed(people)]))
    assert made.to_list() == [(b"new_____" + one[:8]).hex() for one in reversed(people)]
    with pytest.raises(UnknownPseudonymError):
        rekeying.column(pl.Series([(bytes(8) + bytes([9] * 8)).hex()]))


def test_with_nobody_known_only_empty_columns_stay() -> None:
    rekeying = Rekeying(OLD, NEW, [])
    assert rekeying.column(pl.Series([None, None], dtype=pl.String)).to_list() == [None, None]
    with pytest.raises(UnknownPseudonymError):
        rekeying.column(pl.Series(["ab" * 16]))
