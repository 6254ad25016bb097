"""Names made comparable."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.linkage.names import cleaned, compared, is_placeholder, romanised, skeleton


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("นายสมชาย", "สมชาย"),
        ("น.ส. พรทิพย์", "พรทิพย์"),
        ("นางสาวพรทิพย์", "พรทิพย์"),
        ("ด.ช.ธนา", "ธนา"),
        ("แก้ว", "แกว"),
        ("เเก้ว", "แกว"),
        ("ดาๆ", "ดาดา"),
        ("สม\u200bชาย", "สมชาย"),
        ("  สม  ชาย ", "สมชาย"),
        ("MR. John", "john"),
        ("น้ํา", "นำ"),
        ("สมชาย2", "สมชาย"),
    ],
)
def test_titles_tones_and_invisible_letters_are_no_part_of_a_name(typed: str, plain: str) -> None:
    assert cleaned(typed) == plain


@pytest.mark.parametrize("name", ["นายิกา", "นางรอง", "พระพร"])
def test_a_name_that_begins_as_a_title_stays_whole(name: str) -> None:
    cleaned_name = cleaned(name)
    assert cleaned_name is not None
    assert cleaned_name.startswith(name[:3]) or len(cleaned_name) >= 3


@pytest.mark.parametrize("typed", ["บุตรนางสมศรี", "ด.ญ.บุตรนางสมศรี", "บุตร น.ส.จิ", "ด.ช.", "ทารก", "-", "", "Baby of Su"])
def test_a_newborn_without_a_name_has_none(typed: str) -> None:
    assert cleaned(typed) is None


def test_a_name_is_no_placeholder() -> None:
    assert not is_placeholder("สมบุตร")


@pytest.mark.parametrize(
    ("thai", "latin"),
    [
        ("สมชาย", ["Somchai", "SOMCHAY", "Som Chai"]),
        ("พรทิพย์", ["Phonthip", "Pornthip", "Porntip"]),
        ("จันทร์เพ็ญ", ["Chanphen", "Janpen"]),
        ("รุ่งเรือง", ["Rungrueang", "Rungruang"]),
        ("เจริญ", ["Charoen", "Jaroen"]),
        ("อรทัย", ["Onthai", "Orntai"]),
        ("สวัสดิ์", ["Sawat"]),
        ("วงศ์ประเสริฐ", ["Wongprasoet", "Vongprasert"]),
        ("กิตติพงศ์", ["Kittiphong", "Kitipong"]),
        ("ซาน", ["San", "Sann"]),
        ("ขิ่น", ["Khin", "Kin"]),
    ],
)
def test_common_spellings_in_latin_letters_meet(thai: str, latin: list[str]) -> None:
    plain = cleaned(thai)
    assert plain is not None
    assert {romanised(cleaned(one) or "") for one in latin} == {romanised(plain)}


@pytest.mark.parametrize(("thai", "latin"), [("ณัฐวุฒิ", "Nattawut"), ("ศรีสุข", "Srisuk"), ("ชลธิดา", "Cholthida")])
def test_where_spellings_differ_the_consonants_are_the_same(thai: str, latin: str) -> None:
    keys = {skeleton(romanised(cleaned(one) or "")) for one in (thai, latin)}
    assert len(keys) == 1


def test_different_names_stay_different() -> None:
    names = ["สมชาย", "สมหญิง", "พรทิพย์", "ธนา", "มณี", "กิตติ"]
    assert len({romanised(cleaned(name) or "") for name in names}) == len(names)


def test_each_name_keeps_its_place_and_the_empty_stay_empty() -> None:
    made = compared(pl.Series(["สมชาย", None, "บุตรนางสมศรี", "สมชาย"]))
    assert made.columns == ["plain", "roman", "skeleton"]
    assert made["roman"].to_list() == ["somchai", None, None, "somchai"]


THAI = "".join(chr(code) for code in (*range(0x0E01, 0x0E3B), *range(0x0E3F, 0x0E5C)))


@given(st.text(st.sampled_from(THAI + " .-aZé\u200b")) | st.text())
def test_any_text_has_a_form_that_can_be_compared(name: str) -> None:
    plain = cleaned(name)
    assert plain is None or skeleton(romanised(plain)).isascii() or not plain.isascii()
    assert compared(pl.Series([name])).height == 1
