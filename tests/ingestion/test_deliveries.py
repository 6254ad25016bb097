"""What happens to a whole delivery: its name, its archive, its members, and the same content again."""

from __future__ import annotations

import random
import shutil
import stat
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ingestion import delivery
from ingestion.checks import load_rules
from ingestion.contract import standard_contracts
from ingestion.delivery import DeliveryRejectedError, DeliveryZip, content_hash, sender_of
from ingestion.feed import STANDARD, load_feeds
from ingestion.inbox import store
from ruam.errors import UsageError
from ruam.settings import Settings, ZipLimits
from tests.ingestion.odd_zips import (
    SENDER,
    good_members,
    make_zip,
    row,
    text,
    visits,
    with_encrypted_flag,
    with_flipped_bit,
    with_shared_bytes,
    zip_name,
    zip_of_infos,
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


def not_a_zip(path: Path) -> Path:
    path.write_bytes(b"this is no zip" * 100)
    return path


def empty_file(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def truncated(path: Path) -> Path:
    make_zip(path)
    path.write_bytes(path.read_bytes()[:-40])
    return path


def with_trailing_bytes(path: Path) -> Path:
    make_zip(path)
    path.write_bytes(path.read_bytes() + b"trailing")
    return path


def zip_slip(path: Path) -> Path:
    return make_zip(path, {**good_members(), "../../CARD.txt": text("CARD")})


def absolute(path: Path) -> Path:
    return make_zip(path, {**good_members(), "/etc/CARD.txt": text("CARD")})


def drive_letter(path: Path) -> Path:
    return make_zip(path, {**good_members(), "C:\\CARD.txt": text("CARD")})


def link(path: Path) -> Path:
    info = zipfile.ZipInfo("SERVICE.txt")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of_infos(path, [(info, b"/etc/passwd")])


def twice(path: Path) -> Path:
    return make_zip(path, {"SERVICE.txt": visits(1), "service.TXT": visits(2)})


def same_name_twice(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zip_of_infos(path, [(zipfile.ZipInfo("SERVICE.txt"), visits(n).encode()) for n in (1, 2)])


def nothing_known(path: Path) -> Path:
    return make_zip(path, {"OFFICE.txt": "x", "letter.txt": "y"})


def corrupt(path: Path) -> Path:
    return with_flipped_bit(make_zip(path, {"PERSON.txt": text("PERSON"), "SERVICE.txt": visits(200)}), "SERVICE.txt")


def corrupt_lzma(path: Path) -> Path:
    return with_flipped_bit(make_zip(path, {"SERVICE.txt": visits(200)}, zipfile.ZIP_LZMA), "SERVICE.txt")


def corrupt_bzip2(path: Path) -> Path:
    return with_flipped_bit(make_zip(path, {"SERVICE.txt": visits(200)}, zipfile.ZIP_BZIP2), "SERVICE.txt")


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (not_a_zip, "unreadable_zip"),
        (empty_file, "unreadable_zip"),
        (lambda path: make_zip(path, {}), "unreadable_zip"),
        (truncated, "unreadable_zip"),
        (with_trailing_bytes, "unreadable_zip"),
        (zip_slip, "unsafe_member_name"),
        (absolute, "unsafe_member_name"),
        (drive_letter, "unsafe_member_name"),
        (link, "link_member"),
        (lambda path: with_encrypted_flag(make_zip(path)), "encrypted_member"),
        (lambda path: with_shared_bytes(make_zip(path)), "overlapping_members"),
        (twice, "duplicate_member"),
        (same_name_twice, "duplicate_member"),
        (nothing_known, "no_known_member"),
        (corrupt, "corrupt_member"),
        (corrupt_lzma, "corrupt_member"),
        (corrupt_bzip2, "corrupt_member"),
    ],
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
    stored = settings.data_home.inbox / digest[:2] / f"{digest}.zip"
    assert stored.read_bytes() == path.read_bytes()
    before = batches(settings)
    assert [one.outcome for one in take_in(settings, path).outcomes] == ["rejected"]
    assert batches(settings) == before


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (ZipLimits(max_zip_bytes=500), "zip_too_large"),
        (ZipLimits(max_members=2), "too_many_members"),
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


def test_a_bomb_is_stopped_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member of 40 MB in 40 kB: reading ends within a block of the limit."""
    monkeypatch.setattr(delivery, "BLOCK_BYTES", 1 << 20)
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": b"HOSPCODE\n" + b"0" * 40_000_000})
    read = []
    inflate = DeliveryZip._inflate

    def counted(self: DeliveryZip, member: delivery.Member):
        for piece in inflate(self, member):
            read.append(len(piece))
            yield piece

    monkeypatch.setattr(DeliveryZip, "_inflate", counted)
    with pytest.raises(DeliveryRejectedError) as caught:
        DeliveryZip(path, ZipLimits())
    assert caught.value.rule == "ratio_too_high"
    assert sum(read) <= ZipLimits().ratio_applies_from_bytes + (1 << 20)


def test_a_damaged_archive_is_rejected_and_never_crashes(tmp_path: Path) -> None:
    """Any one byte of the archive may be anything: it opens, or it is rejected for a reason of the catalogue."""
    good = make_zip(tmp_path / "good.zip").read_bytes()
    dice = random.Random(43)  # noqa: S311
    path = tmp_path / zip_name()
    seen = set()
    for _ in range(400):
        content = bytearray(good)
        for _ in range(dice.choice((1, 1, 3))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path.write_bytes(content)
        try:
            with DeliveryZip(path, ZipLimits()) as opened:
                for member in opened.members:
                    assert all(block.endswith(b"\n") for block in opened.blocks(member))
        except DeliveryRejectedError as error:
            seen.add(error.rule)
    assert seen <= {code for code, rule in load_rules().items() if rule.level == "delivery"}
    assert {"corrupt_member", "unreadable_zip"} <= seen


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
    assert len(list(settings.data_home.inbox.rglob("*.zip"))) == 1


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
    first, second = (store(tmp_path / "inbox", [path.read_bytes()]) for _ in range(2))
    assert first == second
    assert first[0] == content_hash(path)
    assert first[1].read_bytes() == path.read_bytes()
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
