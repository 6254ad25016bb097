"""JSON resources to rows: what is read, what is set aside, and that no line is lost whatever it holds."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.feed import load_feeds
from ingestion.gzipped import gunzipped
from ingestion.ndjson import MAX_LINE_BYTES, MAX_NAMES, OTHER_NAMES, Engine, bundles, one_line, resources
from ingestion.paths import Shape, parse
from ingestion.readers import Description
from tests.ingestion.fhir_sets import ICD10, SNOMED, bundle, condition, encounter, patient, resource

FHIR = load_feeds()["fhir"]
ENGINE = Engine()


def read(
    text: str | bytes, table: str = "Condition", cut: int | None = None
) -> tuple[pl.DataFrame, dict[int, str], Description]:
    """Rows, rule by line of what was set aside, and the description, of text that comes in pieces of `cut` bytes."""
    data = text if isinstance(text, bytes) else text.encode()
    step = cut or max(len(data), 1)
    description = Description()
    blocks = list(
        resources(ENGINE, (data[at : at + step] for at in range(0, len(data), step)), FHIR, table, description)
    )
    frame = (
        pl.concat([block.frame for block in blocks], how="diagonal") if blocks else pl.DataFrame({"source_line": []})
    )
    rejected = pl.concat([block.rejected for block in blocks]) if blocks else pl.DataFrame()
    return frame, dict(rejected.iter_rows()), description


def line(id_: str | None = "1", **fields: Any) -> str:
    return json.dumps({"resourceType": "Condition", "id": id_, **fields}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ("{", "invalid_json"),
        ("nonsense", "invalid_json"),
        (line()[:-1], "invalid_json"),
        (line() + line(), "invalid_json"),
        ("[]", "not_an_object"),
        ('"text"', "not_an_object"),
        ("null", "not_an_object"),
        ("{}", "wrong_resource_type"),
        ('{"resourceType": "Patient", "id": "1"}', "wrong_resource_type"),
        ('{"resourceType": ["Condition"], "id": "1"}', "wrong_resource_type"),
        (line(None), "missing_id"),
        (line(" "), "missing_id"),
        ('{"resourceType": "Condition"}', "missing_id"),
        (line(modifierExtension=[{"url": "negated"}]), "modifier_extension"),
        (line(text="\x00"), "nul_byte"),
        ("[" * 1_000_000, "invalid_json"),
    ],
)
def test_a_line_that_is_no_resource_of_the_table_is_set_aside_with_its_number(bad: str, rule: str) -> None:
    frame, rejected, _ = read("\n".join([line("before"), bad, line("after")]))
    assert rejected == {2: rule}
    assert frame.select("source_line", "ID").rows() == [(1, "before"), (3, "after")]


@pytest.mark.parametrize("cut", [5, 64, None])
def test_line_numbers_count_blank_lines_whatever_ends_them_and_wherever_pieces_are_cut(cut: int | None) -> None:
    text = b"\xef\xbb\xbf" + f"{line('a')}\r\n\r\n \t\n{line('b')}\n\n{line('ค')}".encode()
    frame, rejected, description = read(text, cut=cut) if cut else read(text)
    assert frame.select("source_line", "ID").rows() == [(1, "a"), (4, "b"), (6, "ค")]
    assert not rejected
    assert (description.layout, description.encodings) == ("fhir-r4", {"utf-8"})


def test_a_line_of_50_megabytes_is_set_aside_and_the_next_one_is_read() -> None:
    huge = b'{"resourceType": "Condition", "id": "' + b"a" * (50 << 20) + b'"}\n'
    frame, rejected, _ = read(huge + line("next").encode(), cut=16 << 20)
    assert rejected == {1: "line_too_long"}
    assert frame.select("source_line", "ID").rows() == [(2, "next")]


def test_the_longest_line_that_is_allowed_is_read() -> None:
    short = line(note=[{"text": ""}])
    long = line(note=[{"text": "x" * (MAX_LINE_BYTES - len(short))}])
    for text, rules in ((long, {}), (long.replace("xx", "xxx", 1), {1: "line_too_long"})):
        frame, rejected, _ = read(text)
        assert (frame.height, rejected) == (1 - len(rules), rules)


def test_a_line_of_another_encoding_is_set_aside_and_its_neighbours_are_read() -> None:
    text = b"\n".join(
        [line("a").encode(), '{"resourceType": "Condition", "id": "ก"}'.encode("cp874"), line("b").encode()]
    )
    frame, rejected, _ = read(text)
    assert rejected == {2: "undecodable"}
    assert frame["ID"].to_list() == ["a", "b"]


def test_of_several_codings_the_one_of_the_system_counts_and_the_first_of_any() -> None:
    codings = [{"system": SNOMED, "code": "43878008"}, {"code": None}, {"system": ICD10, "code": " J02.0 "}]
    frame, _, _ = read(line(code={"coding": codings}))
    assert frame.select("ICD10", "CODE").row(0) == ("J02.0", "43878008")


@pytest.mark.parametrize(
    "reference",
    [
        "Encounter/e-1",
        "urn:uuid:e-1",
        "https://example.org/fhir/Encounter/e-1",
        "Encounter/e-1/_history/2",
        "Encounter?identifier=https://example.org/id|e-1",
    ],
)
def test_every_form_of_reference_gives_the_id(reference: str) -> None:
    frame, _, _ = read(line(encounter={"reference": reference}))
    assert frame["ENCOUNTER"].to_list() == ["e-1"]


def test_a_value_of_another_shape_than_the_standard_gives_is_empty_and_no_error() -> None:
    odd = [
        line(code=[1], encounter="Encounter/1", meta=[]),
        line(code={"coding": {"code": "J00"}}, category={"coding": []}),
        line(code={"coding": [None, 1, "x", []]}, verificationStatus=True),
        '{"resourceType": "Condition", "id": "1", "id": "2", "code": {"code": {}}}',
    ]
    frame, rejected, _ = read("\n".join(odd))
    assert not rejected
    assert frame.select("ICD10", "CODE", "ENCOUNTER", "STATUS", "UPDATED").unique().rows() == [(None,) * 5]


def test_unknown_fields_are_counted_by_row_and_extensions_of_known_ones_are_not() -> None:
    text = [line(_recordedDate={}, recordedDate="2024", novelField=1), line(novelField=2, other=[], onsetAge={})]
    _, _, description = read("\n".join(text))
    assert description.unknown_fields == {"novelField": 2, "other": 1}


def test_names_of_fields_that_a_sender_made_up_are_neither_shown_nor_kept_without_end() -> None:
    invented = {"กานดา สมมติ": 1, "1101700203451": 1, "a b": 1} | {
        f"field{chr(97 + n // 26)}{chr(97 + n % 26)}": 1 for n in range(600)
    }
    _, _, description = read("\n".join(line(**dict([pair])) for pair in invented.items()))
    assert len(description.unknown_fields) <= MAX_NAMES + 1
    assert description.unknown_fields[OTHER_NAMES] > 0
    assert all((name.isascii() and name.isidentifier()) or name == OTHER_NAMES for name in description.unknown_fields)


def test_deep_nesting_in_a_field_that_is_not_taken_does_no_harm() -> None:
    deep = line()[:-1] + ', "extension": ' + "[" * 500_000 + "]" * 500_000 + "}"
    frame, rejected, _ = read(f"{deep}\n{line('2')}")
    assert (frame["ID"].to_list(), rejected) == (["1", "2"], {})


def test_a_line_that_grows_beyond_memory_is_set_aside_and_its_neighbours_are_read() -> None:
    grows = line()[:-1] + ', "code": {"coding": [' + "{}," * (5 << 20) + "{}]}}"
    frame, rejected, _ = read("\n".join([line("before"), grows, line("after")]))
    assert frame["ID"].to_list() == ["before", "after"]
    assert rejected == {2: "line_too_long"}


def test_a_bundle_that_grows_beyond_memory_costs_only_itself() -> None:
    grows = b'{"resourceType": "Bundle", "entry": [' + b"{}," * (7 << 20) + b"{}]}"
    whole = json.dumps(patient("p", 1)).encode()
    rows, rules, _ = unpacked([b"\n".join([whole, grows, whole])])
    assert (rows["Patient"].height, rules) == (2, ["line_too_long"])


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "code", "system", "reference", "meta", "id", "extension", "x", "ก"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
almost_conditions = st.builds(
    lambda fields, kind: json.dumps({"resourceType": kind, **fields}, ensure_ascii=False).encode("utf-8", "replace"),
    st.dictionaries(
        st.sampled_from(["id", "code", "encounter", "subject", "meta", "category", "modifierExtension", "new"]),
        json_values,
    ),
    st.sampled_from(["Condition", "Condition", "Patient", ""]),
)
lines = st.lists(
    almost_conditions | st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"")) | st.just(b""), max_size=12
)


@settings(max_examples=40)
@given(lines, st.integers(30, 300))
def test_whatever_the_lines_hold_each_is_a_row_or_set_aside_once(found: list[bytes], cut: int) -> None:
    frame, rejected, _ = read(b"\n".join(found), cut=cut)
    numbers = [*frame["source_line"].to_list(), *rejected]
    assert len(set(numbers)) == len(numbers)
    stripped = [one.removeprefix(b"\xef\xbb\xbf") if not at else one for at, one in enumerate(found)]
    assert set(numbers) == {at for at, one in enumerate(stripped, start=1) if one.strip(b" \t\r")}


def unpacked(pieces: Iterable[bytes]) -> tuple[dict[str, pl.DataFrame], list[str], dict[str, int]]:
    """Frames by table, rules of what was set aside, and how many entries of other types there were."""
    rows: dict[str, list[pl.DataFrame]] = {}
    rules: list[str] = []
    others: dict[str, int] = {}
    descriptions = {name: Description() for name in FHIR.tables}
    for entries in bundles(ENGINE, iter(pieces), FHIR, descriptions, others):
        rules += [rule for _, rule in entries.rejected.iter_rows()]
        for name, found in entries.rows.items():
            rows.setdefault(name, []).append(found.frame)
            rules += [rule for _, rule in found.rejected.iter_rows()]
    return {name: pl.concat(frames) for name, frames in rows.items()}, rules, others


def test_entries_of_a_bundle_are_numbered_and_go_by_their_full_url() -> None:
    text = bundle(
        [patient("p", 1), resource("Claim", "x"), encounter("e", "p"), condition("c", "p", "e", (ICD10, "J00"))]
    )
    text = text.replace('"id": "p"', '"id": "another"')
    rows, rules, others = unpacked(one_line(iter([text.encode()])))
    assert {name: frame["source_line"].to_list() for name, frame in rows.items() if frame.height} == {
        "Patient": [1],
        "Encounter": [3],
        "Condition": [4],
    }
    assert rows["Patient"]["ID"].to_list() == rows["Encounter"]["PATIENT"].to_list() == ["p"]
    assert (rules, others) == ([], {"Claim": 1})


def test_bundles_on_lines_count_on_and_one_that_cannot_be_read_costs_only_itself() -> None:
    whole = next(one_line(iter([bundle([patient("p", 1), patient("q", 2)]).encode()])))
    single = json.dumps(patient("r", 3)).encode()
    rows, rules, others = unpacked([b"\n".join([whole, b"{broken", single, b'{"resourceType": "Parameters"}', whole])])
    assert rows["Patient"]["ID"].to_list() == ["p", "q", "r", "p", "q"]
    assert rows["Patient"]["source_line"].to_list() == [2, 3, 4, 6, 7]
    assert (rules, others) == (["invalid_json"], {"Parameters": 1})


@pytest.mark.parametrize(
    "entry", ["[null, 1, {}]", "{}", '[{"resource": null}]', '[{"fullUrl": "urn:uuid:1"}]', "null"]
)
def test_a_bundle_of_no_resources_gives_no_rows(entry: str) -> None:
    rows, rules, _ = unpacked([b'{"resourceType": "Bundle", "entry": ' + entry.encode() + b"}"])
    assert (rows, rules) == ({}, [])


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_gzip_is_inflated_wherever_it_is_cut_and_however_many_members_it_has(size: int) -> None:
    content = bytes(range(256)) * 20
    packed = gzip.compress(content) + gzip.compress(b"") + gzip.compress(b"end")
    assert b"".join(gunzipped(iter(pieces_of(packed, size)), 64)) == content + b"end"


def test_a_gzip_bomb_is_inflated_in_small_pieces_only() -> None:
    inflated = gunzipped(iter([gzip.compress(bytes(64 << 20))]), 1 << 16)
    assert max(len(piece) for piece in inflated) <= 1 << 16


@pytest.mark.parametrize(
    "damaged",
    [b"", b"not gzip", gzip.compress(b"content")[:-5], gzip.compress(b"content") + b"junk", gzip.compress(b"x")[:4]],
    ids=["empty", "no gzip", "cut", "junk behind", "a beginning"],
)
def test_damaged_gzip_is_an_error(damaged: bytes) -> None:
    with pytest.raises((zlib.error, EOFError)):
        list(gunzipped(iter([damaged]), 64))


@pytest.mark.parametrize("path", ["", "a..b", "a[b", "a[b=]", "a[=c]", "a-b", "a['x'=1]", "1a", 'a"b'])
def test_a_path_that_the_grammar_does_not_know_is_an_error(path: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse(path)


def test_one_name_cannot_be_read_as_two_things() -> None:
    shape = Shape()
    shape.add(parse("code.coding[].code")).leaf("code")
    with pytest.raises(ValueError, match="is read as array and as object"):
        shape.add(parse("code.coding.code"))
