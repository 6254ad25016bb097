"""HMAC-SHA256 of one message and of columns: the bytes of the standard library, and nothing that shows the key."""

from __future__ import annotations

import base64
import hmac
import logging
import traceback

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from identity import hashing
from identity.hashing import hmac_sha256, hmac_sha256_of_columns
from identity.keys import Keys
from identity.pseudonym import Pseudonymiser
from tests.ingestion.odd_zips import cid

KEY = bytes(range(160, 192))
OF_ONE_WIDTH = st.integers(1, 200).flatmap(
    lambda width: st.lists(st.binary(min_size=width, max_size=width), max_size=9)
)


def as_rows(messages: list[bytes], width: int = 1) -> hashing.Bytes:
    return np.frombuffer(b"".join(messages), np.uint8).reshape(len(messages), len(messages[0]) if messages else width)


@given(st.binary(min_size=1, max_size=150), OF_ONE_WIDTH)
@hypothesis_settings(max_examples=60)
def test_every_digest_is_that_of_the_standard_library(key: bytes, messages: list[bytes]) -> None:
    expected = [hmac.digest(key, message, "sha256") for message in messages]
    assert [bytes(row) for row in hmac_sha256_of_columns(key)(as_rows(messages))] == expected
    assert [hmac_sha256(key)(message) for message in messages] == expected


def test_more_messages_than_are_hashed_together_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_TOGETHER", 7)
    messages = [number.to_bytes(4, "big") for number in range(30)]
    made = hmac_sha256_of_columns(KEY)(as_rows(messages))
    assert [bytes(row) for row in made] == [hmac.digest(KEY, message, "sha256") for message in messages]


def shapes_of(key: bytes) -> list[str]:
    """The key and its pads as text could show them; six bytes of one in a row are enough."""
    texts = []
    for one in (key, *(bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C))):
        part = one[6:12]
        texts += [part.hex(), repr(part)[2:-1], ", ".join(map(str, part)), " ".join(map(str, part))]
        texts.append(base64.b64encode(part).decode())
    return texts


def shown(text: str) -> list[str]:
    return [shape for shape in shapes_of(KEY) if shape.lower() in text.lower()]


def test_the_shapes_of_a_key_would_be_found() -> None:
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        pl.DataFrame({"a": [b"x"]}).select((pl.lit(KEY, pl.Binary) + pl.col("a")).cast(pl.Int64))
    assert shown(f"{pl.lit(KEY, pl.Binary)}{caught.value}") or shown(repr(KEY))
    assert shown(repr(list(KEY)))
    assert shown(KEY.hex())


def test_no_plan_that_is_run_has_the_key_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = []
    select = pl.DataFrame.select

    def seen(frame: pl.DataFrame, *expressions: pl.Expr) -> pl.DataFrame:
        plans.extend(f"{one} {one.meta.serialize(format='json')}" for one in expressions)
        plans.append(frame.lazy().select(*expressions).explain())
        return select(frame, *expressions)

    monkeypatch.setattr(pl.DataFrame, "select", seen)
    hmac_sha256_of_columns(KEY)(as_rows([b"1234"]))
    assert len(plans) > 2
    assert not shown("".join(plans))


@pytest.mark.parametrize("broken", ["missing", "plugin"])
def test_an_error_while_a_column_is_hashed_does_not_show_the_key(
    monkeypatch: pytest.MonkeyPatch, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = pl.col("absent" if broken == "missing" else "cell")
    monkeypatch.setattr(hashing.plh, "col", lambda _: _Broken(other))
    with caplog.at_level(logging.DEBUG), pytest.raises(pl.exceptions.PolarsError) as caught:
        hmac_sha256_of_columns(KEY)(as_rows([b"1234"]))
    told = "".join(traceback.format_exception(caught.value))
    assert not shown(told + caplog.text)


class _Broken:
    """An expression whose hash fails in the engine."""

    def __init__(self, expression: pl.Expr) -> None:
        self.chash = self
        self._expression = expression

    def sha2_256(self) -> pl.Expr:
        return self._expression.dt.year().cast(pl.String)


def test_what_holds_the_keys_does_not_show_them() -> None:
    keys = Keys(KEY, KEY[::-1])
    made = Pseudonymiser(keys)
    made.columns(pl.Series([cid(1)]), "cid")
    assert not shown(f"{keys!r} {made!r} {hmac_sha256(KEY)!r} {hmac_sha256_of_columns(KEY)!r}")
