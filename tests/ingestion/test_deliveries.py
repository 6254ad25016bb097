"""What happens to a whole delivery: its name, its archive, its members, and the same content again."""

from __future__ import annotations

import bz2
import errno
import shutil
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from identity.sealing import Sealed, Sealer, SealKey, Unsealer
from ingestion import delivery
from ingestion.archive import Archive
from ingestion.checks import load_rules
from ingestion.contract import standard_contracts
from ingestion.delivery import DeliveryRejectedError, DeliveryZip, content_hash, sender_of
from ingestion.feed import STANDARD, load_feeds
from ingestion.inbox import inbox_key, receiving, sealed, store
from ingestion.landing import RECORDS
from ingestion.names import shown_name
from ruam.errors import UsageError
from ruam.settings import Settings, ZipLimits
from tests.fuzz.targets import zip_reader
from tests.ingestion.odd_zips import (
    SENDER,
    Raw,
    edition,
    good_members,
    make_zip,
    raw_bytes,
    row,
    text,
    visits,
    with_flipped_bit,
    zip_bytes,
    zip_name,
)
from tests.ingestion.reading import assert_balanced, batches, landed, records, take_in

at = datetime.fromisoformat


@pytest.mark.parametrize(
    ("name", "hospcode", "sent_at"),
    [
        ("F43_90101_20240601120000.zip", "90101", at("2024-06-01 12:00")),
        ("f43_90101_20240601120000.ZIP", "90101", at("2024-06-01 12:00")),
        ("PROGRAM_F43_90101_202406011230.zip", "90101", at("2024-06-01 12:30")),
        ("12345_F43_90101_20240601.zip", "90101", at("2024-06-01 00:00")),
        ("F43-00501-25670601120000 (1).zip", "00501", at("2024-06-01 12:00")),
        ("90101_extract.zip", "90101", None),
        ("F43_90101_20241301000000.zip", "90101", None),
    ],
)
def test_the_name_says_who_sent_and_when(name: str, hospcode: str, sent_at: datetime | None) -> None:
    sender = sender_of(name)
    assert (sender.hospcode, sender.sent_at) == (hospcode, sent_at)


@pytest.mark.parametrize(
    ("member", "file"),
    [
        ("SERVICE.txt", "SERVICE"),
        ("service.TXT", "SERVICE"),
        ("F43_90101_20240601120000/Service.txt", "SERVICE"),
        ("./SERVICE.txt", "SERVICE"),
        ("ส่งออก\\SERVICE.txt", "SERVICE"),
        ("service_90101_20240601120000.txt", "SERVICE"),
        ("90101-SERVICE.txt", "SERVICE"),
        ("SERVICE .txt", "SERVICE"),
        ("x_diagnosis_opd_2024.txt", "DIAGNOSIS_OPD"),
        ("COMMUNITY_SERVICE.txt", "COMMUNITY_SERVICE"),
        ("DRUGALLERGY.txt", "DRUGALLERGY"),
        ("NEWBORNCARE.txt", "NEWBORNCARE"),
        ("CHRONICFU_1.txt", "CHRONICFU"),
        ("OFFICE.txt", None),
        ("SERVICES.txt", None),
        ("SERVICE.csv", None),
        ("readme", None),
    ],
)
def test_a_member_is_known_by_its_name(member: str, file: str | None) -> None:
    assert load_feeds()[STANDARD].table_of(member) == file


def test_each_file_of_the_standard_is_known_by_its_own_name() -> None:
    assert {name: load_feeds()[STANDARD].table_of(f"{name}.txt") for name in standard_contracts()} == {
        name: name for name in standard_contracts()
    }


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE.txt",
        "service.TXT",
        "F43_90101_20240601120000/Service.txt",
        "./SERVICE.txt",
        "ข้อมูล/SERVICE.txt",
        "F43\\service_90101_20240601120000.txt",
    ],
)
def test_members_are_found_wherever_they_lie(settings: Settings, tmp_path: Path, name: str) -> None:
    members = {
        name: visits(3),
        "OFFICE.txt": "HOSPCODE|NAME\r\n90101|x\r\n",
        "notes/readme.md": "hello",
        "__MACOSX/._SERVICE.txt": b"\0\5\26\7junk",
        "folder/.SERVICE.txt": b"junk",
    }
    report = take_in(settings, make_zip(tmp_path / zip_name(), members))
    assert [(one.outcome, one.n_rows, one.n_landed) for one in report.outcomes] == [("accepted", 3, 3)]
    assert landed(settings, "SERVICE").height == 3
    assert records(settings, "receipt_files")["file"].to_list() == ["SERVICE"]
    assert_balanced(settings)


def test_names_of_an_older_code_page_do_not_matter(settings: Settings, tmp_path: Path) -> None:
    folder = "\u00e9t\u00e9/".encode("cp437")  # 0x82, which is nothing in cp874
    path = make_zip(tmp_path / zip_name(), {"XXXX/SERVICE.txt": visits(1)})
    path.write_bytes(path.read_bytes().replace(b"XXXX/", folder + b"/"))
    assert [one.outcome for one in take_in(settings, path).outcomes] == ["accepted"]


def corrupt(path: Path) -> Path:
    return with_flipped_bit(make_zip(path, {"PERSON.txt": text("PERSON"), "SERVICE.txt": visits(200)}), "SERVICE.txt")


def not_a_zip(path: Path) -> Path:
    path.write_bytes(b"this is no zip" * 100)
    return path


def zip_slip(path: Path) -> Path:
    return make_zip(path, {**good_members(), "../../CARD.txt": text("CARD")})


@pytest.mark.parametrize(
    ("make", "rule"),
    [(not_a_zip, "unreadable_zip"), (zip_slip, "unsafe_member_name"), (corrupt, "corrupt_member")],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_delivery_that_cannot_be_read_is_rejected_whole(
    settings: Settings, tmp_path: Path, make: Callable[[Path], Path], rule: str
) -> None:
    path = make(tmp_path / zip_name())
    (outcome,) = take_in(settings, path).outcomes
    assert (outcome.outcome, outcome.reason) == ("rejected", rule)
    assert outcome.detail
    (receipt,) = records(settings, "receipts").iter_rows(named=True)
    assert (receipt["outcome"], receipt["reason"], receipt["n_rows"]) == ("rejected", rule, 0)
    assert receipt["region"] == "01"
    assert load_rules()[rule].level == "delivery"
    for file in ("PERSON", "SERVICE", "DIAGNOSIS_OPD", "CARD"):
        assert landed(settings, file).is_empty()
    digest = content_hash(path)
    inbox = settings.data_home.inbox
    with sealed(inbox, inbox_key(settings.data_home), digest).open() as held:
        assert held.read() == path.read_bytes()
    before = batches(settings)
    assert [one.outcome for one in take_in(settings, path).outcomes] == ["rejected"]
    assert batches(settings) == before


@pytest.mark.parametrize(
    ("limits", "rule", "n_landed"),
    [
        (ZipLimits(max_line_bytes=300), {"line_too_long": 1}, 1),
        (ZipLimits(max_header_cells=35), {"too_many_columns": 2}, 0),
    ],
    ids=["line", "header"],
)
def test_limits_of_lines_set_rows_aside(
    settings: Settings, tmp_path: Path, limits: ZipLimits, rule: dict[str, int], n_landed: int
) -> None:
    assert len(edition("SERVICE")) == 36
    rows = [row("SERVICE"), row("SERVICE", SEQ="S" * 300)]
    strict = settings.model_copy(update={"limits": limits})
    take_in(strict, make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", *rows)}))
    assert dict(records(settings, "receipt_rules").filter(level="row").select("rule", "n_rows").iter_rows()) == rule
    assert landed(settings, "SERVICE").height == n_landed
    assert_balanced(settings)


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (ZipLimits(max_zip_bytes=500), "zip_too_large"),
        (ZipLimits(max_members=2), "too_many_members"),
        (ZipLimits(max_directory_bytes=100), "directory_too_large"),
        (ZipLimits(max_name_length=10), "member_name_too_long"),
        (ZipLimits(max_member_bytes=2000), "member_too_large"),
        (ZipLimits(max_total_bytes=50_000), "delivery_too_large"),
        (ZipLimits(max_ratio=5, ratio_applies_from_bytes=10_000), "ratio_too_high"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_limits_hold_for_what_is_read(settings: Settings, tmp_path: Path, limits: ZipLimits, rule: str) -> None:
    path = make_zip(tmp_path / zip_name(), {**good_members(), "SERVICE.txt": visits(300)})
    strict = settings.model_copy(update={"limits": limits})
    assert [one.reason for one in take_in(strict, path).outcomes] == [rule]
    assert landed(settings, "SERVICE").is_empty()
    assert [one.outcome for one in take_in(settings, path).outcomes] == ["accepted"]
    assert landed(settings, "SERVICE").height == 300


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_stopped_before_it_is_whole(tmp_path: Path, method: int) -> None:
    """A member of 40 MB in a few kB: reading ends within a block of the limit, and no block is larger than asked."""
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": b"HOSPCODE\n" + b"0" * 40_000_000}, method)
    read = []
    with Archive(path, ZipLimits()) as archive, pytest.raises(DeliveryRejectedError) as caught:
        read.extend(len(piece) for piece in archive.read(archive.entries[0], 1 << 20))
    assert caught.value.rule == "ratio_too_high"
    assert max(read) <= 1 << 20
    assert sum(read) <= ZipLimits().ratio_applies_from_bytes + (1 << 20)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("held_bytes", [0, 1 << 30], ids=["twice", "once"])
def test_members_are_read_whole_by_each_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int, held_bytes: int
) -> None:
    monkeypatch.setattr(delivery, "HELD_BYTES", held_bytes)
    monkeypatch.setattr(delivery, "BLOCK_BYTES", 1000)
    content = visits(100)
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": content, "PERSON.txt": ""}, method)
    with DeliveryZip(path, ZipLimits()) as opened:
        assert [b"".join(opened.blocks(member)) for member in opened.members] == [
            content.replace("\r\n", "\n").encode(),
            b"",
        ]


def test_a_disk_that_fails_is_not_blamed_on_the_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    held = Sealed(tmp_path / "sealed", KEY, "a delivery")
    with held.path.open("wb") as file, Sealer(file, KEY) as sealer:
        sealer.write(make_zip(tmp_path / zip_name()).read_bytes())
        sealer.finish(held.label.encode())
    monkeypatch.setattr("ingestion.archive._WHOLE_BYTES", 0)
    with Archive(held, ZipLimits()) as archive:
        monkeypatch.setattr(Unsealer, "read", broken)
        with pytest.raises(OSError, match="Input/output error"):
            list(archive.read(archive.entries[0], 1 << 20))
    monkeypatch.undo()
    monkeypatch.setattr(Unsealer, "read", broken)
    with pytest.raises(OSError, match="Input/output error"):
        Archive(held, ZipLimits())


KEY = SealKey("inbox", bytes(range(32)))
TEXTS = st.sampled_from(
    [b"", b"HOSPCODE|PID\r\n90101|1\r\n", b"a|b\rc", b"x" * 3000, b"1|\xe1\xb4\xa7\n" * 9, b"PK\x05\x06"]
)
NAMES = st.sampled_from(
    [b"SERVICE.txt", b"PERSON.txt", b"service.txt", b"a/CARD.txt", b"../CARD.txt", b"__MACOSX/x", b""]
)
SIZES = st.one_of(st.none(), st.integers(0, 40), st.sampled_from([0xFFFF, 1 << 20, 0xFFFFFFFF]))
FLAGS = st.sampled_from([0, 0, 0, 1, 2, 8, 0x20, 0x40, 0x800])
METHODS = st.sampled_from([8, 8, 8, 0, 9, 12, 14, 93, 99])
MEMBERS = st.builds(
    Raw,
    name=NAMES,
    content=TEXTS,
    packed=st.one_of(st.none(), st.none(), TEXTS.map(bz2.compress), st.binary(max_size=30)),
    method=METHODS,
    flags=FLAGS,
    crc=st.one_of(st.none(), st.none(), st.integers(0, 9)),
    size=st.one_of(st.none(), SIZES),
    packed_size=st.one_of(st.none(), SIZES),
    attributes=st.sampled_from([0, 0, 0xA1FF0000, 0x81A40000, 16]),
    offset=st.one_of(st.none(), st.none(), SIZES),
    local=st.one_of(
        st.just({}), st.dictionaries(st.sampled_from(["flags", "size", "crc", "packed_size"]), st.integers(0, 9))
    ),
)
FIELDS = st.sampled_from(["disk", "here", "entries", "size", "offset"])
ENDS = st.one_of(st.just({}), st.dictionaries(FIELDS, st.integers(0, 0xFFFF), max_size=2))
ARCHIVES = st.builds(
    lambda members, zip64, prefix, suffix, end: raw_bytes(*members, zip64=zip64, prefix=prefix, suffix=suffix, **end),
    st.lists(MEMBERS, max_size=4),
    st.one_of(st.none(), ENDS),
    st.sampled_from([b"", b"", b"", b"MZ"]),
    st.sampled_from([b"", b"", b"", b"\0"]),
    ENDS,
)


@given(st.one_of(ARCHIVES, st.binary(max_size=200).map(lambda noise: b"PK\x03\x04" + noise)))
@hypothesis_settings(max_examples=400)
def test_any_zip_opens_within_the_limits_or_is_rejected_by_a_rule(content: bytes) -> None:
    zip_reader(content)


@given(st.data())
@hypothesis_settings(max_examples=400)
def test_a_damaged_zip_opens_unharmed_or_is_rejected_by_a_rule(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    content = bytearray(zip_bytes({"SERVICE.txt": "HOSPCODE|PID\r\n90101|1\r\n" * 9, "PERSON.txt": "x"}, method))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    zip_reader(bytes(content))


@pytest.mark.parametrize(
    ("name", "rule", "hospcode"),
    [("F43_99999_20240601120000.zip", "unknown_sender", "99999"), ("extract.zip", "bad_zip_name", None)],
)
def test_an_unknown_sender_is_rejected_and_belongs_to_no_region(
    settings: Settings, tmp_path: Path, name: str, rule: str, hospcode: str | None
) -> None:
    path = make_zip(tmp_path / name)
    (outcome,) = take_in(settings, path).outcomes
    assert (outcome.outcome, outcome.reason, outcome.hospcode) == ("rejected", rule, hospcode)
    (receipt,) = records(settings, "receipts").iter_rows(named=True)
    assert (receipt["region"], receipt["outcome"], receipt["reason"]) == ("00", "rejected", rule)
    before = batches(settings)
    take_in(settings, path)
    assert batches(settings) == before
    assert len(list(settings.data_home.inbox.rglob("*.sealed"))) == 1


def test_a_rejected_zip_is_accepted_under_its_right_name(settings: Settings, tmp_path: Path) -> None:
    bad = make_zip(tmp_path / "extract.zip")
    take_in(settings, bad)
    take_in(settings, Path(shutil.copy(bad, tmp_path / zip_name())))
    assert records(settings, "receipts").sort("received_at")["outcome"].to_list() == ["rejected", "accepted"]
    assert landed(settings, "SERVICE").height == 2


def test_the_same_content_changes_nothing_under_any_name(settings: Settings, tmp_path: Path) -> None:
    first = make_zip(tmp_path / "a" / zip_name())
    take_in(settings, first)
    rows = landed(settings, "SERVICE")
    again = Path(shutil.copy(first, tmp_path / zip_name(sent_at="20240701120000")))
    (outcome,) = take_in(settings, again).outcomes
    assert outcome.outcome == "duplicate"
    assert landed(settings, "SERVICE").equals(rows)
    receipts = records(settings, "receipts")
    assert receipts["delivery_id"].n_unique() == 1
    assert sorted(receipts["outcome"]) == ["accepted", "duplicate"]
    before = batches(settings)
    report = take_in(settings, first, again)
    assert {one.outcome for one in report.outcomes} == {"duplicate"}
    assert batches(settings) == before


def test_copies_that_come_together_are_one_delivery(settings: Settings, tmp_path: Path) -> None:
    first = make_zip(tmp_path / "in" / zip_name())
    shutil.copy(first, first.with_name(zip_name(sent_at="20240701120000")))
    report = take_in(settings, first.parent)
    assert sorted(one.outcome for one in report.outcomes) == ["accepted", "duplicate"]
    assert landed(settings, "SERVICE").height == 2
    before = batches(settings)
    take_in(settings, first.parent)
    assert batches(settings) == before


def test_two_contents_under_one_name_are_two_deliveries(settings: Settings, tmp_path: Path) -> None:
    ones = [make_zip(tmp_path / day / zip_name(), {"SERVICE.txt": visits(n)}) for day, n in (("mon", 1), ("tue", 2))]
    for _ in range(2):
        take_in(settings, *ones)
    receipts = records(settings, "receipts").sort("n_rows")
    assert receipts.select("file_name", "delivery_id", "outcome", "n_landed").rows() == [
        (zip_name(), content_hash(path), "accepted", n) for n, path in enumerate(ones, 1)
    ]
    assert_balanced(settings)


def test_a_rejection_is_recorded_once_however_often_it_comes(settings: Settings, tmp_path: Path) -> None:
    """Day by day or all at once: one receipt per content and name, also when other deliveries come beside it."""
    inbox = tmp_path / "in"
    corrupt_zip = corrupt(make_zip(inbox / zip_name()))
    take_in(settings, inbox)
    make_zip(inbox / zip_name(sent_at="20240702000000"), {"SERVICE.txt": visits(2)})
    take_in(settings, inbox)
    receipts = records(settings, "receipts")
    assert receipts.height == 2
    assert receipts.filter(pl.col("file_name") == corrupt_zip.name)["outcome"].to_list() == ["rejected"]
    assert not receipts.select("delivery_id", "file_name").is_duplicated().any()


def test_one_bad_delivery_does_not_hold_up_the_others(settings: Settings, tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    make_zip(inbox / zip_name("90101"))
    inbox.joinpath(zip_name("90102")).write_bytes(b"junk")
    report = take_in(settings, inbox)
    assert sorted(one.outcome for one in report.outcomes) == ["accepted", "rejected"]
    assert len(batches(settings)) == 2  # the schema batch, and both of the region together
    assert_balanced(settings)


def test_what_has_no_newline_at_its_end_is_whole(settings: Settings, tmp_path: Path) -> None:
    members = {"SERVICE.txt": visits(3).removesuffix("\r\n"), "PERSON.txt": b"", "CARD.txt": text("CARD", row("CARD"))}
    (outcome,) = take_in(settings, make_zip(tmp_path / zip_name(), members)).outcomes
    assert (outcome.outcome, outcome.n_landed) == ("accepted", 4)
    assert_balanced(settings)


def test_a_path_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        take_in(settings, tmp_path / "nowhere")


def test_the_inbox_keeps_each_content_once(tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name())
    with receiving(tmp_path / "inbox"):
        first, second = (store(tmp_path / "inbox", KEY, [path.read_bytes()]) for _ in range(2))
    assert first == second
    assert first[0] == content_hash(path)
    assert path.read_bytes() not in first[1].read_bytes()
    with sealed(tmp_path / "inbox", KEY, first[0]).open() as held:
        assert held.read() == path.read_bytes()
    assert [file.name for file in (tmp_path / "inbox").rglob("[!.]*") if file.is_file()] == [first[1].name]


def test_the_receipt_says_what_came(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name())
    take_in(settings, path)
    (receipt,) = records(settings, "receipts").iter_rows(named=True)
    assert receipt["delivery_id"] == content_hash(path)
    assert receipt["file_name"] == path.name
    assert receipt["hospcode"] == SENDER
    assert receipt["sent_at"] == at("2024-06-01 12:00")
    assert receipt["n_bytes"] == path.stat().st_size
    assert (receipt["n_rows"], receipt["n_landed"], receipt["n_rejected"], receipt["n_flagged"]) == (5, 5, 0, 0)
    files = records(settings, "receipt_files").sort("file")
    assert files["file"].to_list() == ["DIAGNOSIS_OPD", "PERSON", "SERVICE"]
    assert files["member"].to_list() == ["DIAGNOSIS_OPD.txt", "PERSON.txt", "SERVICE.txt"]
    assert files["layout"].unique().to_list() == ["2.4.1"]
    assert files["missing_columns"].null_count() == 3


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("SERVICE.txt", "SERVICE.txt"),
        ("สมชาย/person.TXT", "person.TXT"),
        ("F43_DIAGNOSIS_OPD-2.txt", "F43_DIAGNOSIS_OPD-2.txt"),
        ("Patient.000.ndjson.gz", "Patient.000.ndjson.gz"),
        ("Claim.ndjson", "Claim.ndjson"),
        ("Encounter.1721218811633.ndjson", "7: Encounter.9999999999999.ndjson"),
        ("SERVICE_สมชาย ใจดี 1234567890121.txt", "7: SERVICE_กกกกก กกกก 9999999999999.txt"),
        ("Somchai.ndjson", "7: AAAAAAA.ndjson"),
        ("မောင်.txt", "7: AAAAA.txt"),
    ],
)
def test_a_name_shows_what_a_member_is_and_of_all_else_the_shape(name: str, shown: str) -> None:
    assert shown_name(name, 7) == shown


PERSON_IN_NAME = "สมชาย_Jaidee_1234567890121"


@pytest.mark.parametrize(
    ("name", "members", "n_rejected"),
    [
        (zip_name(), {f"SERVICE_{PERSON_IN_NAME}.txt": text("SERVICE", row("SERVICE", SEQ=""))}, 1),
        (f"FHIR_{SENDER}_20240601120000.zip", {f"Patient_{PERSON_IN_NAME}.ndjson": "x\n"}, 1),
        (f"FHIR_{SENDER}_20240601120000.zip", {f"{PERSON_IN_NAME}.json": b"PK\x03\x04"}, 0),
        (zip_name(), {f"SERVICE_{PERSON_IN_NAME}.txt": "", f"{PERSON_IN_NAME}_SERVICE.txt": ""}, 0),
        (zip_name(), {"SERVICE.txt": text("SERVICE"), f"{PERSON_IN_NAME}.pdf": ""}, 0),
        (zip_name(), {f"../{PERSON_IN_NAME}.txt": ""}, 0),
    ],
)
def test_a_name_that_bears_a_person_stays_in_the_zip(
    settings: Settings, tmp_path: Path, name: str, members: dict[str, str | bytes], n_rejected: int
) -> None:
    report = take_in(settings, make_zip(tmp_path / name, members))
    assert [one.n_rejected for one in report.outcomes] == [n_rejected]
    told = "".join(str(records(settings, table).rows()) for table in RECORDS) + str(report)
    assert not [part for part in PERSON_IN_NAME.split("_") if part in told]
