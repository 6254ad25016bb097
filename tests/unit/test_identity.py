"""Citizen numbers, pseudonyms and keys."""

from __future__ import annotations

import csv
import hashlib
import hmac
import secrets
import stat
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from identity.cid import CLASSES, DUMMIES, TYPED, classify, has_right_check_digit, normalise
from identity.keys import KEY_BYTES, NAMES, Keys, create_keys, load_keys
from identity.pseudonym import Pseudonymiser
from ruam.errors import SetupError

KEYS = Keys(bytes(range(32)), bytes(range(32, 64)))
NUMBERS = st.text(alphabet="0123456789", min_size=13, max_size=13)


def check_digit(first_twelve: str) -> str:
    """As the rule is written, one digit after the other."""
    total = 0
    for position, digit in enumerate(first_twelve):
        total += int(digit) * (13 - position)
    return str((11 - total % 11) % 10)


def cid(first_twelve: str) -> str:
    return first_twelve + check_digit(first_twelve)


def classes(*numbers: str | None) -> list[str]:
    return classify(pl.Series(numbers, dtype=pl.String)).to_list()


def normalised(*numbers: str | None) -> list[str | None]:
    return pl.DataFrame({"n": pl.Series(numbers, dtype=pl.String)}).select(normalise(pl.col("n")))["n"].to_list()


@given(st.lists(st.one_of(NUMBERS, NUMBERS.map(lambda number: cid(number[:12]))), min_size=1, max_size=20))
def test_check_digit(numbers: list[str]) -> None:
    found = has_right_check_digit(pl.Series(numbers)).to_list()
    assert found == [number[12] == check_digit(number[:12]) for number in numbers]


def is_typed(first: str) -> bool:
    """As the rules are written, one number after the other."""
    upward, downward = "01234567890123456789012", "98765432109876543210987"
    over_and_over = any(first == (first[:period] * 12)[:12] for period in (1, 2, 3))
    one_and_another = len(set(first[1:])) == 1
    with TYPED.open(encoding="utf-8") as handle:
        listed = {row["first_twelve"] for row in csv.DictReader(handle)}
    return over_and_over or one_and_another or first in upward or first in downward or first in listed


FINGERS = st.one_of(
    st.text("0123456789", min_size=1, max_size=4).map(lambda piece: (piece * 12)[:12]),
    st.integers(0, 9).flatmap(
        lambda start: st.sampled_from((1, 9, 2)).map(
            lambda step: "".join(str((start + step * place) % 10) for place in range(12))
        )
    ),
    st.tuples(st.sampled_from("0123456789"), st.sampled_from("0123456789")).map(lambda two: two[0] + two[1] * 11),
).map(lambda first: cid(first))


@given(st.one_of(st.none(), NUMBERS, FINGERS, NUMBERS.map(lambda number: cid(number[:12])), st.text(max_size=14)))
@hypothesis_settings(max_examples=150)
def test_each_number_is_of_one_class(number: str | None) -> None:
    (found,) = classes(number)
    if number is None:
        expected = "missing"
    elif len(number) != 13 or not all(digit in "0123456789" for digit in number):
        expected = "malformed"
    elif number[12] != check_digit(number[:12]):
        expected = "bad_check_digit"
    elif is_typed(number[:12]):
        expected = "dummy"
    elif number.startswith(("00", "9")):
        expected = "generated"
    else:
        expected = "valid"
    assert found == expected
    assert found in CLASSES


def test_the_well_known_dummies_have_a_right_check_digit_and_are_not_valid() -> None:
    assert has_right_check_digit(pl.Series(DUMMIES)).all()
    assert classes(*DUMMIES) == ["dummy"] * 3
    assert classes("0000000000000", cid("001234567890")) == ["bad_check_digit", "generated"]
    assert classes(*(cid(digit * 12) for digit in "123456789")) == ["dummy"] * 9
    kin = ("100000000000", "210987654321", "901234567890", "121212121212", "123123123123", "123451234512")
    assert classes(*map(cid, kin)) == ["dummy"] * 6
    assert classes(cid("912341234567"), cid("812341234567")) == ["generated", "valid"]


def test_every_listed_dummy_has_twelve_digits_and_a_label_and_no_rule_that_says_it() -> None:
    with TYPED.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    listed = [row["first_twelve"] for row in rows]
    assert len(set(listed)) == len(listed) > 10
    assert all(len(first) == 12 and first.isdigit() and row["label"] for first, row in zip(listed, rows, strict=True))
    assert set(classes(*map(cid, listed))) == {"dummy"}
    assert classes(*(cid(f"{(int(first) + 1) % 10**12:012d}") for first in listed)) == ["valid"] * len(listed)


def test_classes_of_many_and_of_none() -> None:
    good = cid("123412341234")
    assert classes(good, None, good, "", "12") == ["valid", "missing", "valid", "malformed", "malformed"]
    assert classes() == []
    assert classes(None) == ["missing"]


def test_numbers_are_read_however_they_are_written() -> None:
    plain = cid("123412341234")
    thai = plain.translate(str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙"))
    dashed = f" {plain[0]}-{plain[1:5]}-{plain[5:10]}-{plain[10:12]}-{plain[12]}\u00a0"
    assert normalised(plain, thai, dashed, "\ufeff" + plain) == [plain] * 4
    assert normalised("", "  ", "-", None) == [None] * 4


def reference_pseudonym(keys: Keys, number: str) -> str:
    first = hmac.new(keys.linkage, number.encode(), hashlib.sha256).digest()[:16]
    return hmac.new(keys.analysis, first, hashlib.sha256).digest()[:16].hex()


@given(st.binary(min_size=32, max_size=100), st.binary(min_size=32, max_size=100), st.text(max_size=200))
def test_the_pseudonym_is_the_double_hmac(linkage: bytes, analysis: bytes, text: str) -> None:
    keys = Keys(linkage, analysis)
    assert Pseudonymiser(keys).pseudonym(text) == reference_pseudonym(keys, text)


def test_columns_of_pseudonyms() -> None:
    good = cid("123412341234")
    sent = pl.Series([good, None, f" {good} ", DUMMIES[0], "x", cid("001234567890"), good[:12] + "x"])
    frame = Pseudonymiser(KEYS).columns(sent, "cid")
    assert frame.columns == ["cid_pseudonym", "cid_class", "cid_p1"]
    made = reference_pseudonym(KEYS, good)
    assert frame["cid_pseudonym"].to_list() == [made, None, made, None, None, None, None]
    assert frame["cid_class"].to_list() == [
        "valid",
        "missing",
        "valid",
        "dummy",
        "malformed",
        "generated",
        "malformed",
    ]
    assert Pseudonymiser(Keys(KEYS.analysis, KEYS.linkage)).columns(sent, "cid")["cid_pseudonym"][0] != made
    assert Pseudonymiser(KEYS).columns(sent[:0], "cid").shape == (0, 3)


ANY_NUMBER = st.one_of(
    st.none(), NUMBERS, FINGERS, st.text(max_size=14), NUMBERS.map(lambda number: cid(f"1{number[:11]}"))
)


@given(st.lists(st.lists(ANY_NUMBER, max_size=12), max_size=4), st.sampled_from((0, 1, 18)))
@hypothesis_settings(max_examples=80)
def test_each_column_has_the_double_hmac_of_its_valid_numbers_whatever_was_asked_before(
    columns: list[list[str | None]], places: int
) -> None:
    """With few places to remember numbers in, one takes the place of another all the time."""
    pseudonymiser = Pseudonymiser(KEYS, remembered=1 << places)
    for sent in columns:
        made = pseudonymiser.columns(pl.Series(sent, dtype=pl.String), "cid")
        plain, found = normalised(*sent), classes(*normalised(*sent))
        assert made["cid_class"].to_list() == found
        assert made["cid_pseudonym"].to_list() == [
            reference_pseudonym(KEYS, str(number)) if name == "valid" else None
            for number, name in zip(plain, found, strict=True)
        ]


def classes_of(numbers: list[str | None], **beside: list[str | None]) -> list[str]:
    given = {name: pl.Series(values, dtype=pl.String) for name, values in beside.items()}
    made = Pseudonymiser(KEYS).columns(pl.Series(numbers, dtype=pl.String), "cid", **given)
    assert (made["cid_pseudonym"].is_not_null() == (made["cid_class"] == "valid")).all()
    return made["cid_class"].to_list()


def test_a_number_with_the_facilitys_own_code_after_a_0_was_made_by_its_program() -> None:
    made = cid("010669000123")
    facilities = ["10669", "10670", "10669", None, "1066"]
    assert classes_of([made, made, f"๐{made[1:]}", made, made], facilities=facilities) == [
        "generated",
        "valid",
        "generated",
        "valid",
        "valid",
    ]
    assert classes_of([cid("000501000123"[:12]), cid("110669000123")], facilities=["00501", "10669"]) == [
        "generated",
        "valid",
    ]
    assert classes_of([cid("005010001234")], facilities=["501"]) == ["generated"]
    assert classes_of([made, None]) == ["valid", "missing"]


@pytest.mark.parametrize(
    ("nation", "labor", "fitting"),
    [
        ("099", None, "123458"),
        ("99", "", "123458"),
        ("048", None, "0345678"),
        ("048", "11", "0345678"),
        (None, "11", "0345678"),
        ("999", "03", "0345678"),
        ("999", None, "012345678"),
        (None, None, "012345678"),
        ("099", "11", "012345678"),
        ("099", "00", "123458"),
        (None, "99", "012345678"),
    ],
)
def test_a_first_digit_that_contradicts_the_nationality_is_a_class_of_its_own(
    nation: str | None, labor: str | None, fitting: str
) -> None:
    numbers: list[str | None] = [cid(f"{first}52310987654") for first in "012345678"]
    found = classes_of(numbers, nations=[nation] * 9, labors=[labor] * 9)
    assert "".join(first for first, name in zip("012345678", found, strict=True) if name == "valid") == fitting
    assert {name for name in found if name != "valid"} <= {"nationality_mismatch"}


def test_nationality_changes_nothing_of_a_number_that_is_unusable_anyway() -> None:
    assert classes_of([None, "1", DUMMIES[0], cid("001234567890")], nations=["048"] * 4, labors=["11"] * 4) == [
        "missing",
        "malformed",
        "dummy",
        "generated",
    ]
    assert classes_of([cid("152310987654")], labors=["11"]) == ["nationality_mismatch"]


def test_a_facilitys_own_number_that_was_a_citizen_number_is_replaced() -> None:
    good = cid("123412341234")
    made = Pseudonymiser(KEYS).local_numbers(pl.Series([good, f"{good[0]}-{good[1:]}", "1001", None, DUMMIES[0]]))
    expected = "x" + hmac.new(KEYS.linkage, b"local number " + good.encode(), hashlib.sha256).hexdigest()[:14]
    assert made.to_list() == [expected, expected, None, None, None]
    assert len(expected) == 15
    rekeyed = Keys(KEYS.linkage, bytes(32))
    assert Pseudonymiser(rekeyed).local_number(good) == expected
    assert Pseudonymiser(KEYS).pseudonym(good)[:14] not in expected


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    created = create_keys(tmp_path)
    assert created == list(NAMES)
    for path in (tmp_path / f"{name}.key" for name in created):
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert path.stat().st_size == KEY_BYTES
    first = load_keys(tmp_path)
    assert first.linkage != first.analysis
    assert create_keys(tmp_path) == []
    assert load_keys(tmp_path) == first


def test_a_lost_key_is_made_and_the_other_stays(tmp_path: Path) -> None:
    create_keys(tmp_path)
    before = load_keys(tmp_path)
    (tmp_path / "analysis.key").unlink()
    assert create_keys(tmp_path) == ["analysis"]
    assert load_keys(tmp_path).linkage == before.linkage


@pytest.mark.parametrize("name", ["linkage", "analysis"])
@pytest.mark.parametrize(
    ("mode", "content", "words"),
    [
        (None, b"", "is missing"),
        (0o400, bytes(range(31)), "31 bytes"),
        (0o400, b"", "0 bytes"),
        (0o440, bytes(range(32)), "0440"),
        (0o404, bytes(range(32)), "chmod 0400"),
        (0o644, bytes(range(32)), "0644"),
        (0o420, bytes(range(32)), "0420"),
    ],
)
def test_a_key_that_is_not_right_is_refused_by_name(
    tmp_path: Path, name: str, mode: int | None, content: bytes, words: str
) -> None:
    create_keys(tmp_path)
    path = tmp_path / f"{name}.key"
    path.unlink()
    if mode is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(SetupError) as caught:
        load_keys(tmp_path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    if content:
        assert content.hex() not in str(caught.value)


def test_keys_do_not_show_themselves() -> None:
    keys = Keys(secrets.token_bytes(32), secrets.token_bytes(32))
    for shown in (repr(keys), str(keys), f"{keys}", keys.key_id):
        for key in (keys.linkage, keys.analysis):
            assert key.hex()[:8] not in shown
            assert repr(key)[2:-1] not in shown
    assert repr(keys) == f"Keys({keys.key_id})"


def test_the_key_id_names_both_keys() -> None:
    other = Keys(KEYS.linkage, bytes(32))
    first, second = KEYS.key_id.split(".")
    assert [len(part) for part in (first, second)] == [8, 8]
    assert other.key_id.split(".")[0] == first
    assert other.key_id != KEYS.key_id
    assert hashlib.sha256(KEYS.linkage).hexdigest()[:8] != first
