"""What ingestion hands to the vault: sealed, exactly once, and of landed rows alone."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import signal
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from identity.intake import KIND, NUMBER, PERSON, RECORD, SCHEMA, WITHDRAWAL, Intake
from identity.keys import load_keys
from ingestion.compaction import compact
from ingestion.contract import load_contracts
from ruam.landing import committed_ids
from ruam.settings import Settings
from tests.ingestion.nodes import run
from tests.ingestion.odd_zips import cid, make_zip, row, text, zip_name
from tests.ingestion.reading import landed, take_in

ONE, OTHER, MOTHER, REJECTED = cid(7101), cid(7102), cid(7103), cid(7104)


def waiting(settings: Settings) -> pl.DataFrame:
    """All rows of all intake files whose batch was committed."""
    intake, committed = Intake.of(settings.data_home), committed_ids(settings.data_home.landing)
    frames = []
    for region, batch in intake.waiting():
        if batch in committed:
            with intake.sealed(region, batch).open() as file:
                frames.append(pl.read_parquet(file.read()))
    return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


def of_kind(settings: Settings, kind: str) -> pl.DataFrame:
    return waiting(settings).filter(pl.col(KIND) == kind).drop(KIND)


def members() -> dict[str, str]:
    told = {"NAME": "สมหญิง", "LNAME": "ใจดี", "HN": "H1", "PASSPORT": "P1", "TELEPHONE": "02", "MOBILE": "08"}
    person = row("PERSON", CID=f"{ONE[0]}-{ONE[1:]}", MOTHER=MOTHER, BIRTH="19800229", **told)
    return {
        "PERSON.txt": text("PERSON", person, row("PERSON", PID="", CID=REJECTED, NAME="ปฏิเสธ")),
        "SERVICE.txt": text("SERVICE", row("SERVICE", CID=OTHER), row("SERVICE", SEQ="", CID=REJECTED)),
        "DATA_CORRECT.txt": text("DATA_CORRECT", row("DATA_CORRECT", D_UPDATE="20240502000000")),
    }


def test_a_record_has_what_linkage_needs_as_it_was_sent(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), members()))
    (record,) = of_kind(settings, PERSON).iter_rows(named=True)
    assert (record["hospcode"], record["pid"], record["cid"], record["mother_cid"]) == ("90101", "1001", ONE, MOTHER)
    assert (record["given"], record["surname"], record["birth_date"]) == ("สมหญิง", "ใจดี", date(1980, 2, 29))
    assert (record["hn"], record["passport"], record["telephone"], record["mobile"]) == ("H1", "P1", "02", "08")
    assert record["d_update"] == datetime.fromisoformat("2024-05-01T08:30:00")
    assert record["sent_at"] == datetime.fromisoformat("2024-06-01T12:00:00")
    assert record["cid_class"] == "valid"
    person = landed(settings, "PERSON")
    assert record["delivery_id"] == person["delivery_id"][0]
    keys = load_keys(settings.data_home.keys)
    for number, made in ((ONE, record["linkage_pseudonym"]), (MOTHER, record["mother_linkage_pseudonym"])):
        assert made == hmac.new(keys.linkage, number.encode(), hashlib.sha256).digest()[:16].hex()
    p1 = bytes.fromhex(record["linkage_pseudonym"])
    assert person["cid_pseudonym"][0] == hmac.new(keys.analysis, p1, hashlib.sha256).digest()[:16].hex()


def test_each_landed_pseudonym_has_its_number_and_a_rejected_row_has_none(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), members()))
    keys = load_keys(settings.data_home.keys)
    numbers = of_kind(settings, NUMBER)["p1"].to_list()
    assert len(numbers) == len(set(numbers)) == 3
    made = {hmac.new(keys.analysis, p1, hashlib.sha256).digest()[:16].hex() for p1 in numbers}
    columns = [landed(settings, "PERSON")[f"{name}_pseudonym"] for name in ("cid", "mother")]
    assert made == set(pl.concat([*columns, landed(settings, "SERVICE")["cid_pseudonym"]]).drop_nulls())
    assert REJECTED not in str(waiting(settings).rows())
    assert "ปฏิเสธ" not in of_kind(settings, PERSON)["given"].to_list()


def test_a_withdrawal_of_a_person_is_handed_over(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), members()))
    withdrawn = of_kind(settings, WITHDRAWAL).select("hospcode", "pid", "d_update").rows()
    assert withdrawn == [("90101", "1001", datetime.fromisoformat("2024-05-02"))]


def test_the_vaults_columns_are_those_that_the_contracts_name() -> None:
    files = {name: contract for name, contract in load_contracts().items() if contract.vault}
    assert set(files) == {"PERSON"}
    renamed = {"name": "given", "lname": "surname", "birth": "birth_date", "mother": "mother_cid"}
    made = {"linkage_pseudonym", "mother_linkage_pseudonym", "cid_class", "delivery_id", "sent_at", "source_line"}
    assert {renamed.get(name, name) for name in files["PERSON"].vault} | made == set(RECORD)


def test_nothing_of_a_person_lies_in_it_in_plain(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), members()))
    (path,) = settings.data_home.vault.rglob("*.sealed")
    content = path.read_bytes()
    assert not [word for word in (b"PAR1", ONE.encode(), "สมหญิง".encode(), b"hospcode") if word in content]


def test_a_delivery_of_other_files_alone_gives_numbers_alone(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", row("SERVICE", CID=OTHER))}))
    assert waiting(settings)[KIND].to_list() == [NUMBER]
    take_in(settings, make_zip(tmp_path / zip_name("90102"), {"CARD.txt": text("CARD", row("CARD", "90102"))}))
    assert waiting(settings).height == 1


@pytest.fixture(scope="module")
def clean(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[object, ...]]]:
    """Two zips, and what one clean run hands over of them."""
    folder = tmp_path_factory.mktemp("clean")
    make_zip(folder / "in" / zip_name(), members())
    make_zip(folder / "in" / zip_name("90102"), {"PERSON.txt": text("PERSON", row("PERSON", "90102", CID=OTHER))})
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    take_in(settings, folder / "in")
    return folder / "in", sorted(waiting(settings).rows(), key=repr)


POINTS = ("intake.written", "intake.synced", "intake.renamed", "batch.synced", "batch.renamed")


@pytest.mark.parametrize("point", POINTS)
def test_killed_on_the_way_it_is_handed_over_exactly_once(
    settings: Settings, clean: tuple[Path, list[tuple[object, ...]]], point: str
) -> None:
    code, said = run(settings.home, "ingest", clean[0], fault=f"{point}:kill")
    assert code == -signal.SIGKILL, said
    take_in(settings, clean[0])
    assert sorted(waiting(settings).rows(), key=repr) == clean[1]
    files = [path.name for path in settings.data_home.vault.rglob("*.sealed")]
    assert len(files) == 1, "what came to nothing is swept"


def test_a_compaction_before_it_was_taken_in_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    for number, day in enumerate(("20240601", "20240602")):
        person = row("PERSON", PID=str(number))
        take_in(settings, make_zip(tmp_path / zip_name(sent_at=f"{day}000000"), {"PERSON.txt": text("PERSON", person)}))
    compact(settings)
    take_in(settings, make_zip(tmp_path / zip_name(sent_at="20240603000000"), {"CARD.txt": text("CARD")}))
    assert sorted(of_kind(settings, PERSON)["pid"]) == ["0", "1"]
