"""From bytes to columns: encodings, line ends, headers, and lines that do not fit."""

from __future__ import annotations

import codecs
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingestion import batch, delivery
from ingestion.contract import Version, load_contracts
from ingestion.feed import Table
from ingestion.text import Header, UndecodableError, read_header, to_utf8
from ruam.settings import Settings, ZipLimits
from tests.fuzz.targets import line_reader, whole_text
from tests.ingestion.odd_zips import cells, edition, make_zip, row, text, visits, zip_name
from tests.ingestion.reading import assert_balanced, flags, landed, records, take_in

THAI = "แพทย์หญิงสมมติ"
EDITIONS = [(file, version) for file, contract in load_contracts().items() for version in contract.editions]


def service(settings: Settings, tmp_path: Path, content: str | bytes) -> pl.DataFrame:
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": content}))
    assert_balanced(settings)
    return landed(settings, "SERVICE")


def drug(settings: Settings, tmp_path: Path, content: bytes) -> tuple[pl.DataFrame, str]:
    """DRUG_OPD keeps a text in Thai: the name of the drug."""
    take_in(settings, make_zip(tmp_path / zip_name(), {"DRUG_OPD.txt": content}))
    assert_balanced(settings)
    return landed(settings, "DRUG_OPD"), records(settings, "receipt_files")["encoding"][0]


@pytest.mark.parametrize("eol", ["\r\n", "\n", "\r"], ids=["crlf", "lf", "cr"])
@pytest.mark.parametrize("final", [True, False], ids=["final", "open"])
def test_every_line_end_gives_the_same_rows(settings: Settings, tmp_path: Path, eol: str, final: bool) -> None:
    content = text("SERVICE", *(row("SERVICE", SEQ=f"S{n}") for n in range(3)), eol=eol)
    frame = service(settings, tmp_path, content if final else content.removesuffix(eol))
    assert frame.select("seq", "source_line").rows() == [("S0", 2), ("S1", 3), ("S2", 4)]
    assert flags(frame) == [[], [], []]
    assert frame["hospcode9"].to_list() == ["EA0090101"] * 3


@pytest.mark.parametrize(
    ("encoding", "bom", "seen"),
    [("utf-8", b"", "utf-8"), ("utf-8", codecs.BOM_UTF8, "utf-8"), ("cp874", b"", "cp874"), ("tis-620", b"", "cp874")],
)
def test_thai_is_read_in_each_encoding(
    settings: Settings, tmp_path: Path, encoding: str, bom: bytes, seen: str
) -> None:
    content = bom + text("DRUG_OPD", row("DRUG_OPD", DNAME=THAI)).encode(encoding)
    frame, recorded = drug(settings, tmp_path, content)
    assert frame["dname"].to_list() == [THAI]
    assert recorded == seen


def test_lines_of_two_encodings_are_each_read_in_their_own(settings: Settings, tmp_path: Path) -> None:
    lines = [
        text("DRUG_OPD", row("DRUG_OPD", DIDSTD=str(n), DNAME=THAI), header=n == 0).encode(encoding)
        for n, encoding in enumerate(("utf-8", "cp874", "utf-8"))
    ]
    frame, recorded = drug(settings, tmp_path, b"".join(lines))
    assert frame.select("didstd", "dname", "source_line").rows() == [("0", THAI, 2), ("1", THAI, 3), ("2", THAI, 4)]
    assert recorded == "mixed"


def test_plain_text_is_ascii(settings: Settings, tmp_path: Path) -> None:
    service(settings, tmp_path, codecs.BOM_UTF8 + visits(1).encode())
    assert records(settings, "receipt_files")["encoding"].to_list() == ["ascii"]
    assert records(settings, "receipt_files")["missing_columns"].to_list() == [None]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_and_without_its_mark(settings: Settings, tmp_path: Path, encoding: str) -> None:
    rows = [row("DRUG_OPD", DIDSTD=str(n), DNAME=f"{THAI} é") for n in range(3)]
    frame, recorded = drug(settings, tmp_path, text("DRUG_OPD", *rows).encode(encoding))
    assert frame.select("didstd", "dname", "source_line").rows() == [(str(n), f"{THAI} é", n + 2) for n in range(3)]
    assert recorded == "utf-16"


def test_half_a_letter_of_utf_16_costs_its_row_alone(settings: Settings, tmp_path: Path) -> None:
    rows = [row("DRUG_OPD", DIDSTD=str(n), DNAME=f"<{n}>") for n in range(3)]
    content = text("DRUG_OPD", *rows).encode("utf-16").replace("<1>".encode("utf-16-le"), b"\x00\xd8")
    frame, _ = drug(settings, tmp_path, content)
    assert frame["didstd"].to_list() == ["0", "2"]
    assert records(settings, "rejects").select("source_line", "rule").rows() == [(3, "undecodable")]


@pytest.mark.parametrize("encoding", ["cp874", "utf-8"])
def test_what_could_be_either_is_read_as_its_file_is(settings: Settings, tmp_path: Path, encoding: str) -> None:
    """A health centre's abbreviation in cp874 is good UTF-8 of other letters; an accent in UTF-8 is good cp874."""
    either = {"cp874": "รพ.สต.", "utf-8": "é"}[encoding]
    assert either.encode(encoding).decode("utf-8" if encoding == "cp874" else "cp874")
    rows = [row("DRUG_OPD", DIDSTD=str(n), DNAME=name) for n, name in enumerate([either] * 3 + [THAI])]
    frame, _ = drug(settings, tmp_path, text("DRUG_OPD", *rows).encode(encoding))
    assert frame["dname"].to_list() == [either] * 3 + [THAI]


def test_a_cut_letter_is_not_read_as_something_else(settings: Settings, tmp_path: Path) -> None:
    """Some programs cut a text in UTF-8 in the middle of a letter: the row is set aside, its neighbours are not."""
    rows = [row("DRUG_OPD", DIDSTD=str(n), DNAME=THAI) for n in range(3)]
    lines = text("DRUG_OPD", *rows).encode().splitlines(keepends=True)
    lines[2] = lines[2].replace(THAI.encode(), THAI.encode()[:-1])
    frame, recorded = drug(settings, tmp_path, b"".join(lines))
    assert frame.select("didstd", "dname").rows() == [("0", THAI), ("2", THAI)]
    assert records(settings, "rejects").select("source_line", "rule").rows() == [(3, "undecodable")]
    assert recorded == "utf-8"


def test_a_mark_where_files_were_glued_is_no_part_of_a_value(settings: Settings, tmp_path: Path) -> None:
    lines = text("SERVICE", *(row("SERVICE", SEQ=f"S{n}") for n in range(3)), eol="\n").splitlines()
    lines[2] = "\ufeff\ufeff" + lines[2]
    frame = service(settings, tmp_path, "\n".join([*lines, "\ufeff", ""]).encode("utf-8-sig"))
    assert frame.select("hospcode", "seq").rows() == [("90101", "S0"), ("90101", "S1"), ("90101", "S2")]


@pytest.mark.parametrize("encoding", ["shift_jis", "latin-1"])
def test_another_encoding_is_not_taken_for_thai(encoding: str) -> None:
    words = {"shift_jis": "外来の患者さん", "latin-1": "Zürich à côté déjà né où"}
    with pytest.raises(UndecodableError):
        to_utf8(words[encoding].encode(encoding))


def test_an_undecodable_line_is_set_aside_and_the_rest_lands(settings: Settings, tmp_path: Path) -> None:
    lines = text("DRUG_OPD", *(row("DRUG_OPD", DIDSTD=str(n), DNAME=THAI) for n in range(3))).encode("cp874")
    header, first, *rest = lines.splitlines(keepends=True)
    frame, _ = drug(settings, tmp_path, b"".join([header, first, first.rstrip() + b"\xff\xff\r\n", *rest]))
    assert frame.select("didstd", "dname", "source_line").rows() == [("0", THAI, 2), ("1", THAI, 4), ("2", THAI, 5)]
    assert records(settings, "rejects").select("source_line", "rule").rows() == [(3, "undecodable")]


@given(st.binary(max_size=400))
@hypothesis_settings(max_examples=200)
def test_any_bytes_become_utf_8_or_an_error(block: bytes) -> None:
    whole_text(block)


WORDS = st.lists(
    st.sampled_from(["ผู้ป่วยนอก", "น้ำ", "ฯลฯ", "ที่อยู่ ๑๒", "เก๋ไก๋", "ฤๅษี", "ABC", "012", " ", "\n"]), max_size=40
)


@given(WORDS.map("".join))
def test_cp874_and_utf_8_of_one_text_are_one_text(words: str) -> None:
    words = f"การ {words}"  # Two letters alone may happen to be UTF-8 of something else.
    assert to_utf8(words.encode("cp874"))[0] == to_utf8(words.encode("utf-8"))[0] == words.encode("utf-8")


def header_variant(name: str) -> list[str]:
    order = edition("SERVICE")
    return {
        "shuffled": list(reversed(order)),
        "lower case": [column.lower() for column in order],
        "trailing blanks": [f"{column}  " for column in order],
        "quoted": [f'"{column}"' for column in order],
    }[name]


@pytest.mark.parametrize("variant", ["shuffled", "lower case", "trailing blanks", "quoted"])
def test_columns_are_mapped_by_name(settings: Settings, tmp_path: Path, variant: str) -> None:
    header = header_variant(variant)
    values = row("SERVICE", SEQ="S7", PRICE="1,234.50", SBP="128")
    line = "|".join(values[column.strip(' "').upper()] for column in header)
    frame = service(settings, tmp_path, f"{'|'.join(header)}\r\n{line}\r\n")
    assert frame.select("seq", "sbp", "row_flags").rows() == [("S7", 128, None)]
    assert str(frame["price"][0]) == "1234.5000"
    (file,) = records(settings, "receipt_files").iter_rows(named=True)
    assert (file["layout"], file["header"], file["missing_columns"], file["unknown_columns"]) == (
        "2.4.1",
        True,
        None,
        None,
    )


def test_missing_and_unknown_columns_are_recorded_and_reject_nothing(settings: Settings, tmp_path: Path) -> None:
    order = [column for column in edition("SERVICE") if column not in ("SBP", "HOSPCODE9")]
    header = "|".join([*order[:3], "CLINIC_NAME", *order[3:], "EXTRA"])
    line = "|".join([*(row("SERVICE")[c] for c in order[:3]), "secret", *(row("SERVICE")[c] for c in order[3:]), "x"])
    frame = service(settings, tmp_path, f"{header}\n{line}\n")
    assert frame.select("seq", "sbp", "hospcode9", "row_flags").rows() == [("S1", None, None, None)]
    (file,) = records(settings, "receipt_files").iter_rows(named=True)
    assert set(file["missing_columns"].split(",")) == {"SBP", "HOSPCODE9"}
    assert set(file["unknown_columns"].split(",")) == {"CLINIC_NAME", "EXTRA"}
    assert (file["n_rejected"], file["n_flagged"]) == (0, 0)


def test_of_a_column_named_twice_the_first_counts_and_the_other_is_told(settings: Settings, tmp_path: Path) -> None:
    order = [*edition("SERVICE"), "SEQ"]
    line = cells(row("SERVICE", SEQ="first"), edition("SERVICE")) + "|second"
    assert service(settings, tmp_path, f"{'|'.join(order)}\n{line}\n")["seq"].to_list() == ["first"]
    assert records(settings, "receipt_files")["unknown_columns"].to_list() == ["SEQ (again)"]


@pytest.mark.parametrize(("file", "version"), EDITIONS)
def test_without_a_header_the_edition_is_known_by_its_number_of_columns(file: str, version: Version) -> None:
    contract = load_contracts()[file]
    order = edition(file, version)
    header = read_header(cells({"TELEPHONE": "021234567", **row(file)}, order), contract)
    assert header is not None
    assert not header.is_header
    assert header.positions == {name: index for index, name in enumerate(order) if name in contract.by_name}
    assert header.layout == str(version)
    assert header.unknown == []


@pytest.mark.parametrize(("file", "version"), EDITIONS)
def test_each_edition_is_known_by_its_header(file: str, version: Version) -> None:
    contract = load_contracts()[file]
    header = read_header("|".join(edition(file, version)), contract)
    assert header is not None
    assert (header.is_header, header.layout, header.unknown) == (True, str(version), [])
    assert set(header.missing) == contract.by_name.keys() - set(edition(file, version))


@pytest.mark.parametrize("version", list(Version))
def test_headerless_rows_land_from_line_1(settings: Settings, tmp_path: Path, version: Version) -> None:
    rows = [row("SERVICE", SEQ=f"S{n}", TYPEOUT="1") for n in range(2)]
    frame = service(settings, tmp_path, text("SERVICE", *rows, columns=edition("SERVICE", version), header=False))
    assert frame.select("seq", "source_line", "typeout").rows() == [("S0", 1, "1"), ("S1", 2, "1")]
    (file,) = records(settings, "receipt_files").iter_rows(named=True)
    assert (file["header"], file["layout"]) == (False, str(version))


def test_headerless_with_an_unknown_count_is_set_aside_line_by_line(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BLOCK_BYTES", 64)
    line = cells(row("SERVICE"), edition("SERVICE")) + "|one|more"
    frame = service(settings, tmp_path, f"{line}\r\n\r\n{line}\r\n{line}")
    assert frame.is_empty()
    rejects = records(settings, "rejects")
    assert sorted(rejects.select("source_line", "rule").rows()) == [(n, "unknown_layout") for n in (1, 3, 4)]


def test_a_header_that_names_none_of_a_tables_columns_is_none() -> None:
    table = Table(layouts={"all": ["HN", "SEX"]})
    assert read_header("HOSPCODE|X|Y", table) is None
    assert read_header("HOSPCODE|HN|SEX", table) == Header(
        {"HN": 1, "SEX": 2}, 3, True, "all", missing=[], unknown=["HOSPCODE"]
    )


def test_a_header_alone_is_no_row(settings: Settings, tmp_path: Path) -> None:
    assert service(settings, tmp_path, "|".join(edition("SERVICE"))).is_empty()
    assert records(settings, "receipt_files")["n_rows"].to_list() == [0]


def test_another_delimiter_is_set_aside(settings: Settings, tmp_path: Path) -> None:
    assert service(settings, tmp_path, visits(2).replace("|", ",")).is_empty()
    assert records(settings, "rejects")["rule"].unique().to_list() == ["unknown_layout"]


def test_blanks_around_values_do_not_matter_and_blank_lines_are_no_rows(settings: Settings, tmp_path: Path) -> None:
    line = cells({name: f" {value}\t" for name, value in row("SERVICE").items()}, edition("SERVICE"))
    frame = service(settings, tmp_path, f"{'|'.join(edition('SERVICE'))}\r\n\r\n{line}\r\n\r\n")
    assert frame.select("hospcode", "seq", "source_line", "row_flags").rows() == [("90101", "S1", 3, None)]


@pytest.mark.parametrize("blank", ["\t", " ", "  "])
def test_a_row_is_read_alike_whatever_its_neighbours(settings: Settings, tmp_path: Path, blank: str) -> None:
    rows = [row("SERVICE", SEQ="S1"), row("SERVICE", SEQ=f"S2{blank}")]
    assert service(settings, tmp_path, text("SERVICE", *rows))["seq"].to_list() == ["S1", "S2"]


def test_quotes_are_plain_characters(settings: Settings, tmp_path: Path) -> None:
    """The standard has no quoting: one inch mark must not swallow the rows after it."""
    rows = [row("DRUG_OPD", DIDSTD=str(n), DNAME=name) for n, name in enumerate(('GAUZE 3"', '"A', "B'", 'C"'))]
    frame, _ = drug(settings, tmp_path, text("DRUG_OPD", *rows).encode())
    assert frame["dname"].to_list() == ['GAUZE 3"', '"A', "B'", 'C"']


@pytest.mark.parametrize(
    ("block_bytes", "flush_rows", "waiting_bytes"), [(1, 3, 10**9), (7, 10**9, 1), (100, 3, 500), (4096, 7, 10**9)]
)
def test_blocks_and_flushes_in_the_middle_change_nothing(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block_bytes: int,
    flush_rows: int,
    waiting_bytes: int,
) -> None:
    monkeypatch.setattr(delivery, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(batch, "FLUSH_ROWS", flush_rows)
    monkeypatch.setattr(batch, "WAITING_BYTES", waiting_bytes)
    lines = text("DRUG_OPD", *(row("DRUG_OPD", DIDSTD=f"{n:03d}", DNAME=THAI) for n in range(20))).split("\r\n")
    lines[5] += "|too|many"
    lines[9] = ""
    frame, _ = drug(settings, tmp_path, "\r\n".join(lines).encode())
    expected = [(f"{n:03d}", THAI, n + 2) for n in range(20) if n not in (4, 8)]
    assert frame.sort("source_line").select("didstd", "dname", "source_line").rows() == expected
    (reject,) = records(settings, "rejects").iter_rows(named=True)
    assert (reject["source_line"], reject["rule"]) == (6, "wrong_columns")


CELLS = st.sampled_from(
    ["", " ", "A", "1", "\0", "ก", "น้ำ", "รพ.สต.", "เนก", "é", "°", "😀", '"', "\ufeff", "\t", "\u200b", "่", "x" * 70]
)
LINES = st.one_of(st.just(""), st.lists(CELLS, min_size=2, max_size=4).map("|".join), st.lists(CELLS).map("".join))
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""])
ENCODINGS = st.sampled_from(["utf-8", "cp874", "utf-8-sig", "latin-1", "utf-16", "utf-16-be"])
PARTS = st.builds(
    lambda line, end, encoding: (line + end).encode(encoding, "ignore"),
    LINES,
    ENDS,
    st.one_of(ENCODINGS, st.just("cp874")),
)
MIXTURES = st.one_of(
    st.lists(st.one_of(PARTS, st.binary(max_size=6)), max_size=12).map(b"".join),
    st.builds(
        lambda lines, end, encoding: end.join(lines).encode(encoding, "ignore"),
        st.lists(LINES, max_size=12),
        ENDS,
        ENCODINGS,
    ),
    st.binary(max_size=200),
)


@given(st.integers(0, 255), MIXTURES)
@example(0, codecs.BOM_UTF16_LE + "\r\nx".encode("utf-16-le") + b"\0")
@hypothesis_settings(max_examples=300)
def test_every_line_is_a_row_or_a_reject_or_empty_wherever_the_text_is_cut(size: int, content: bytes) -> None:
    line_reader(bytes([size]) + content)


def test_a_header_of_too_many_columns_or_letters_is_not_read() -> None:
    contract, limits = load_contracts()["SERVICE"], ZipLimits(max_line_bytes=1000, max_header_cells=50)
    header = read_header("HOSPCODE" + "|" * 50, contract, limits)
    assert header is not None
    assert (header.fault, header.is_header, header.unknown) == ("too_many_columns", True, [])
    assert read_header("HOSPCODE|" + "X" * 1000, contract, limits) is None
    long_name = read_header("HOSPCODE|" + "X" * 900, contract, limits)
    assert long_name is not None
    assert long_name.unknown == ["X" * 64]


@pytest.mark.parametrize(
    "written", ["ราคา 50 บาท", "A\u00a0B", "“ผู้ป่วยนอก” – นัด", "น้ำตาลในเลือดสูง ที่นี่", "1|\u0e38สดใจ|มาลา", "\u0e49กวพร"]
)
def test_cp874_with_few_thai_letters_or_a_mark_before_its_letter_is_read(written: str) -> None:
    assert to_utf8(written.encode("cp874"))[0].decode() == written


@pytest.mark.parametrize("written", ["café à l'hôtel, déjà vu", "Müller|Jürgen|Größe", "naïve façade"])
def test_latin_text_is_not_read_as_thai(written: str) -> None:
    with pytest.raises(UndecodableError):
        to_utf8(written.encode("latin-1"))
