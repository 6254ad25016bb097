"""The reader of dBase and FoxPro tables, against a library that writes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from unittest.mock import create_autospec

import dbf as reference
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingestion import dbf
from ingestion.delivery import DeliveryZip, Member
from ingestion.feed import Table
from ingestion.readers import Description, dbase
from ruam.settings import Settings, ZipLimits
from tests.ingestion.f16_zips import f16_dbf, f16_name, f16_row, write_dbf
from tests.ingestion.odd_zips import make_zip
from tests.ingestion.reading import assert_balanced, landed, records, take_in

KINDS = ["db3", "fp", "vfp"]


def read(
    content: bytes, columns: list[str], piece: int = 1 << 20
) -> tuple[pl.DataFrame, pl.DataFrame, int, Description]:
    """Rows (with `source_line`), rejected rows and the number of deleted ones of a whole table."""
    description = Description()

    def pieces() -> Iterator[bytes]:
        return (content[at : at + piece] for at in range(0, len(content), piece))

    opened = create_autospec(DeliveryZip, instance=True, limits=ZipLimits())
    opened.pieces.side_effect = lambda _: pieces()
    member = create_autospec(Member, instance=True)
    rows = list(dbase(opened, member, Table(layouts={"all": columns}), description))
    frames = [one.frame.select(*sorted(one.frame.columns)) for one in rows if one.frame.height]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema={"source_line": pl.Int32})
    rejected = pl.concat([one.rejected for one in rows]) if rows else pl.DataFrame()
    return frame, rejected, sum(one.n_deleted for one in rows), description


@pytest.mark.parametrize("kind", KINDS)
def test_text_numbers_and_dates_are_read_as_the_other_library_wrote_them(kind: str) -> None:
    content = write_dbf(
        "HN C(10); NAME C(20); AMOUNT N(12,2); DAY D; SURE L",
        [
            ("0001", "สมชาย ใจดี", 1250.5, date(2024, 5, 1), True),
            ("0002", "a|b", -3, None, False),
            ("", "", None, None, None),
        ],
        kind,
    )
    frame, rejected, deleted, description = read(content, ["HN", "NAME", "AMOUNT", "DAY", "SURE"])
    assert frame.select("HN", "NAME", "AMOUNT", "DAY").rows() == [
        ("0001", "สมชาย ใจดี", "1250.50", "20240501"),
        ("0002", "a|b", "-3.00", None),
        (None, None, None, None),
    ]
    assert frame["SURE"].to_list()[:2] == ["T", "F"]
    assert frame["source_line"].to_list() == [2, 3, 4]
    assert (rejected.height, deleted) == (0, 0)
    assert (description.layout, description.header, description.encodings) == ("all", True, {"cp874"})


def test_what_visual_foxpro_keeps_in_binary_is_read_as_the_standard_writes_it() -> None:
    content = write_dbf(
        "HN C(5); N I; AT T; RATE B; PAID Y",
        [("1", -7, datetime(2024, 5, 1, 8, 30, 15), 12.25, 1250), ("2", 0, None, 0, 0)],  # noqa: DTZ001
        "vfp",
    )
    frame, *_ = read(content, ["HN", "N", "AT", "RATE", "PAID"])
    assert frame.select("N", "AT", "RATE", "PAID").rows() == [
        ("-7", "20240501083015", "12.25", "1250.0"),
        ("0", None, "0.0", "0.0"),
    ]


def test_a_memo_is_not_there_and_the_other_columns_are(tmp_path: Path) -> None:
    with reference.Table(str(tmp_path / "m.dbf"), "HN C(5); NOTE M; SEX C(1)", dbf_type="db3") as table:
        table.append(("1", "long words", "2"))
    frame, *_ = read((tmp_path / "m.dbf").read_bytes(), ["HN", "NOTE", "SEX"])
    assert frame.columns == ["HN", "SEX", "source_line"]
    assert frame.select("HN", "SEX").rows() == [("1", "2")]


def test_deleted_records_are_counted_and_keep_their_line() -> None:
    content = write_dbf("HN C(5); SEX C(1)", [(str(n), "1") for n in range(5)], deleted=[1, 4])
    frame, rejected, deleted, _ = read(content, ["HN", "SEX"])
    assert frame.select("HN", "source_line").rows() == [("0", 2), ("2", 4), ("3", 5)]
    assert (deleted, rejected.height) == (2, 0)


@pytest.mark.parametrize("piece", [1, 7, 33, 100, 4096])
def test_it_does_not_matter_where_the_bytes_are_cut(piece: int) -> None:
    content = write_dbf("HN C(5); DOB D", [(str(n), date(2024, 1, 1)) for n in range(40)])
    frame, rejected, _, _ = read(content, ["HN", "DOB"], piece)
    assert frame["HN"].to_list() == [str(n) for n in range(40)]
    assert rejected.is_empty()


def test_blocks_of_records_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbf, "BLOCK_BYTES", 100)
    content = write_dbf("HN C(9); SEX C(1)", [(str(n), "1") for n in range(95)])
    frame, *_ = read(content, ["HN", "SEX"])
    assert frame["HN"].to_list() == [str(n) for n in range(95)]
    assert frame["source_line"].to_list() == list(range(2, 97))


GOOD = write_dbf("HN C(9); SEX C(1)", [(str(n), "1") for n in range(3)])


def with_bytes(at: int, new: bytes) -> bytes:
    return GOOD[:at] + new + GOOD[at + len(new) :]


@pytest.mark.parametrize(
    ("content", "n_rejected"),
    [
        (GOOD[:-14], 1),  # two records are cut off
        (with_bytes(4, struct.pack("<I", 2**32 - 1)), 3),
        (with_bytes(4, struct.pack("<I", 1)), 3),  # there are more
        (with_bytes(10, struct.pack("<H", 999)), 1),  # length of a record
        (with_bytes(8, struct.pack("<H", 60000)), 1),  # length of the header
        (with_bytes(8, struct.pack("<H", 50)), 1),  # ends within a column
        (with_bytes(8, struct.pack("<H", 32)), 1),  # no column
        (with_bytes(0, b"\x04"), 1),  # another format
        (with_bytes(15, b"\x01"), 1),  # encrypted
        (with_bytes(48, b"\x00"), 1),  # a column of no width
        (b"", 1),
        (b"HN|SEX\n1|2\n", 1),
    ],
)
def test_a_damaged_table_is_set_aside_whole(content: bytes, n_rejected: int) -> None:
    frame, rejected, _, _ = read(content, ["HN", "SEX"])
    assert frame.is_empty()
    assert rejected["rule"].to_list() == ["damaged_dbf"] * n_rejected


def test_a_record_that_is_neither_there_nor_deleted_is_set_aside() -> None:
    first_record = int.from_bytes(GOOD[8:10], "little")
    frame, rejected, _, _ = read(with_bytes(first_record + 11, b"x"), ["HN", "SEX"])
    assert frame["HN"].to_list() == ["0", "2"]
    assert rejected.rows() == [(3, "damaged_dbf")]


def test_only_the_records_that_cannot_be_decoded_are_set_aside() -> None:
    content = write_dbf("HN C(5); NAME C(5)", [("1", "กขค"), ("2", "งงง"), ("3", "จจจ")]).replace(
        "งงง".encode("cp874"), b"\xfc\xfd\xfe"
    )
    frame, rejected, _, _ = read(content, ["HN", "NAME"])
    assert frame.select("HN", "NAME").rows() == [("1", "กขค"), ("3", "จจจ")]
    assert rejected.rows() == [(3, "undecodable")]


def test_columns_that_nobody_knows_make_an_unknown_layout() -> None:
    _, rejected, _, description = read(GOOD, ["ONE", "TWO"])
    assert rejected["rule"].to_list() == ["unknown_layout"] * 3
    assert description.layout == "empty"


THAI = st.text(st.sampled_from("กขคงจะาิ่้ABCz019 |.\"'"), max_size=12)


def is_utf_8_too(text: str) -> bool:
    """Whether the bytes of Thai in cp874 are as good in UTF-8, as those of two letters may be: nobody can tell then.

    Records are read in blocks, so that one such text may be all that there is to tell by.
    """
    if text.isascii():
        return False
    try:
        text.encode("cp874").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(st.tuples(THAI, THAI), min_size=1, max_size=20), st.integers(1, 300))
def test_any_thai_text_comes_back_without_its_padding(rows: list[tuple[str, str]], piece: int) -> None:
    assume(not any(is_utf_8_too(value) for one in rows for value in one))
    frame, rejected, _, _ = read(write_dbf("HN C(12); NAME C(12)", rows), ["HN", "NAME"], piece)
    sent = [tuple(value.strip(" ") or None for value in one) for one in rows]
    # A text with little Thai but its signs is not believed to be Thai (`ingestion/text.py`), and is told of.
    assert frame.height + rejected.height == len(rows)
    if rejected.is_empty():
        assert frame.select("HN", "NAME").rows() == sent


@given(st.binary(max_size=400), st.integers(0, len(GOOD)))
def test_any_bytes_give_rows_or_rejects_and_never_an_error(junk: bytes, at: int) -> None:
    frame, rejected, deleted, _ = read(GOOD[:at] + junk, ["HN", "SEX"])
    assert frame.height + rejected.height + deleted >= 1 or int.from_bytes((GOOD[:at] + junk)[4:8], "little") == 0


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=5), st.sampled_from("TBY"))
def test_any_bytes_in_a_binary_column_are_a_value_or_told_of(cells: list[bytes], kind: str) -> None:
    good = write_dbf(f"HN C(2); AT {kind}", [("1", None)] * len(cells), "vfp")
    start, width = (int.from_bytes(good[at : at + 2], "little") for at in (8, 10))
    content = bytearray(good)
    for number, cell in enumerate(cells):
        content[start + number * width + 3 : start + number * width + 11] = cell
    frame, rejected, *_ = read(bytes(content), ["HN", "AT"])
    assert (frame.height, rejected.height) == (len(cells), 0)
    if kind == "T":
        times = [value for value in frame["AT"].drop_nulls() if not value.startswith("day ")]
        assert all(len(value) == 14 and value.isdigit() for value in times)


def test_a_damaged_member_does_not_hold_up_the_others(settings: Settings, tmp_path: Path) -> None:
    members = {"OPD.dbf": f16_dbf("OPD")[:-30], "PAT.dbf": f16_dbf("PAT"), "ODX.dbf": f16_dbf("ODX", f16_row("ODX"))}
    (outcome,) = take_in(settings, make_zip(tmp_path / f16_name(), members)).outcomes
    assert (outcome.outcome, outcome.n_rejected) == ("accepted_with_rejects", 1)
    assert records(settings, "rejects").select("file", "member", "rule").rows() == [
        ("SERVICE", "OPD.dbf", "damaged_dbf")
    ]
    assert (landed(settings, "PERSON").height, landed(settings, "DIAGNOSIS_OPD").height) == (1, 1)
    assert_balanced(settings)
