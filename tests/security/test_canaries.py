"""Planted people are looked for, byte by byte, in everything that a run leaves, the inbox and the vault included.

`make proof` takes them through the warehouse too; the country of `tests/test_end_to_end.py` is searched in every run.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from identity.vault import opened
from ruam.settings import Settings
from tests.ingestion.f16_zips import f16_dbf, f16_name, f16_row, f16_text
from tests.ingestion.fhir_sets import bundle, fhir_name, members, patient, resource
from tests.ingestion.nodes import run
from tests.ingestion.odd_zips import make_zip, row, text, zip_name
from tests.ingestion.test_privacy import PLANTED, canary_members
from tests.ingestion.test_r7 import text as r7_text
from tests.security.canaries import everything_in, found_in, planted_files, unpacked

WORDS = {label: PLANTED[label] for label in ("CID", "MOTHER", "FATHER", "NAME", "LNAME", "HN", "PHONE", "PASSPORT")}


WHOLE = bool(os.environ.get("RUAM_TEST_CANARIES"))


def crashed(settings: Settings, zipped: Path) -> dict[str, bytes]:
    """What a run says that is killed while rows are in its hands, and one that meets a failing disk."""
    said = {}
    for fault, code in (("batch.rows_written:kill", -signal.SIGKILL), ("intake.synced:ENOSPC", 74)):
        ended, told = run(settings.home, "ingest", zipped, fault=fault)
        assert ended == code, told
        said[f"crash at {fault}"] = told.encode()
    return said


def spilled(connection: duckdb.DuckDBPyConnection, table: str, folder: Path) -> dict[str, bytes]:
    """Pages that the engine spills when it sorts many copies of a table's rows in little memory."""
    (size,) = connection.execute(f"select sum(strlen(one::varchar) + 40) from {table} as one").fetchone() or (0,)
    rows = connection.execute(f"""
        select one::varchar || md5(i::varchar) as copy from {table} as one, range({160_000_000 // size}) as r(i)
        order by hash(copy)
    """)
    rows.fetchone()
    pages = {f"spill of {table}, {path.name}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sum(map(len, pages.values())) > 1 << 20, "nothing was spilled"
    inside = {f"{name}, {how}": page for name, content in pages.items() for how, page in unpacked(content)}
    return pages | inside


def little_memory(spill: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"memory_limit": "100MB", "threads": 1, "temp_directory": str(spill)})


def test_nothing_that_a_run_leaves_tells_who_a_planted_person_is(
    settings: Settings, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = settings.data_home
    zipped = make_zip(tmp_path / "in" / zip_name(), canary_members())
    said = crashed(settings, zipped)
    late = row("PERSON", "90102", PID="77", NAME=PLANTED["NAME"], CID=PLANTED["CID"])
    make_zip(tmp_path / "in" / zip_name("90102"), {"PERSON.txt": text("PERSON", late)})
    if WHOLE:
        assert command("run", tmp_path / "in") == 0
    else:
        assert command("ingest", tmp_path / "in") == 0
        assert command("identity", "take-in", "--purpose", "canaries") == 0

    little = settings.model_copy(update={"memory_limit": "100MB", "workers": 1})
    with opened(little, "test", "spill") as vault:
        assert vault.connection.execute("select count(*) from records where given = ?", [PLANTED["NAME"]]).fetchone()
        said |= spilled(vault.connection, "records", home.vault / "spill")
    if WHOLE:
        with little_memory(home.spill) as plain:
            plain.execute(f"attach '{home.warehouse}' as warehouse (read_only)")
            said |= spilled(plain, "warehouse.stg_f43__person", home.spill)

    for arguments in (
        ("status", "--json"),
        ("deliveries", "--json"),
        ("quarantine", "list", "--rejects", "--csv"),
        ("quarantine", "list", "--rejects", "--json"),
        ("identity", "status", "--purpose", "canaries"),
        ("identity", "forget", "90102", "77", "--purpose", "canaries"),
    ):
        command(*arguments)
    printed = capfd.readouterr()
    said |= {"stdout": printed.out.encode(), "stderr": printed.err.encode()}
    assert "wrong_columns" in printed.out
    assert "Forgotten" in printed.out

    expected = {"inbox", "vault", "landing", "logs"} | ({"warehouse.duckdb", "serving", "dbt"} if WHOLE else set())
    assert expected <= {path.name for path in home.root.iterdir()}
    assert (home.vault / "vault.duckdb").exists()
    assert not found_in(everything_in(home.root), WORDS)
    assert not found_in(said, WORDS)


def of_16_files(make: Callable[..., str | bytes], suffix: str) -> dict[str, str | bytes]:
    told = {"TITLE": "003", "FNAME": PLANTED["NAME"], "LNAME": PLANTED["LNAME"], "HN": PLANTED["HN"]}
    person = f16_row("PAT", PERSON_ID=PLANTED["CID"], **told)
    rejected = {**person, "HN": "", "NAMEPAT": PLANTED["NAME"]}
    return {
        f"PAT{suffix}": make("PAT", person, rejected),
        f"INS{suffix}": make("INS", f16_row("INS", HN=PLANTED["HN"], CID=PLANTED["CID"])),
        f"OPD{suffix}": make("OPD", f16_row("OPD", HN=PLANTED["HN"])),
    }


def of_region_7() -> dict[str, str | bytes]:
    told = {"TITLE": "003", "FNAME": PLANTED["NAME"], "LNAME": PLANTED["LNAME"], "CID": PLANTED["CID"]}
    return {
        "PERSON.txt": r7_text("PERSON", HN=PLANTED["HN"], **told) + r7_text("PERSON", HN="", **told).splitlines()[1],
        "OPD.txt": r7_text("OPD", HN=PLANTED["HN"]),
    }


def of_fhir() -> list[dict[str, object]]:
    def identifiers(**values: str) -> list[dict[str, str]]:
        systems = {
            "cid": "https://terms.sil-th.org/id/th-cid",
            "hn": "https://terms.sil-th.org/hcode/5/90101/HN",
            "passport": "http://hl7.org/fhir/sid/passport-MMR",
        }
        return [{"system": systems[name], "value": value} for name, value in values.items()]

    def relative(id_: str, code: str, number: str) -> dict[str, object]:
        related = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": code}]}]
        of = {"patient": {"reference": "Patient/p"}, "relationship": related, "identifier": identifiers(cid=number)}
        return resource("RelatedPerson", id_, name=[{"text": PLANTED["NAME"]}], **of)

    numbers = identifiers(cid=PLANTED["CID"], hn=PLANTED["HN"], passport=PLANTED["PASSPORT"])
    names = [
        {"use": "nickname", "given": ["หนูนา"]},
        {"use": "official", "prefix": ["นาง"], "given": [PLANTED["NAME"]], "family": PLANTED["LNAME"]},
    ]
    phones = [{"system": "email", "value": "a@example.org"}, {"system": "phone", "value": PLANTED["PHONE"]}]
    person = patient("p", 1, identifier=numbers, name=names, telecom=phones)
    parents = [relative("f", "FTH", PLANTED["FATHER"]), relative("m", "MTH", PLANTED["MOTHER"])]
    return [person, *parents, person | {"id": ""}]


FEEDS: dict[str, tuple[str, Callable[[], dict[str, str | bytes]], bool]] = {
    "16 files": (f16_name(), lambda: of_16_files(f16_text, ".txt"), False),
    "16 files, DBF": (f16_name(), lambda: of_16_files(f16_dbf, ".dbf"), False),
    "Region 7": ("R7_90101_20240601120000.zip", of_region_7, False),
    "FHIR": (f"{fhir_name()}.zip", lambda: dict(members(of_fhir())), True),
    "FHIR, Bundle": (
        f"{fhir_name()}.zip",
        lambda: {"a.json": bundle(of_fhir())},
        True,
    ),
}
"""Of each feed: a delivery's name and members with planted people, and whether it tells passport, phone
and mother too."""

IN_VAULT = {"given": "NAME", "surname": "LNAME", "hn": "HN", "cid": "CID"}
MORE_IN_VAULT = {"passport": "PASSPORT", "telephone": "PHONE", "mother_cid": "MOTHER"}


@pytest.mark.parametrize("feed", FEEDS)
def test_every_feed_gives_the_vault_who_a_person_is_and_lands_none_of_it(
    settings: Settings, command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str], feed: str
) -> None:
    name, made, tells_more = FEEDS[feed]
    make_zip(tmp_path / "in" / name, made())
    assert command("ingest", tmp_path / "in") == 0
    assert command("identity", "take-in", "--purpose", "canaries") == 0
    with opened(settings, "test", "canaries") as vault:
        (record,) = vault.connection.execute("from records").pl().iter_rows(named=True)
    expected = {**IN_VAULT, **(MORE_IN_VAULT if tells_more else {})}
    assert {column: record[column] for column in expected} == {
        column: PLANTED[label] for column, label in expected.items()
    }
    assert record["prename"]
    assert record["birth_date"].year == 1980
    assert {record["sex"], record["nation"], record["cid_class"]} <= {"1", "2", "099", "valid"}

    printed = capfd.readouterr()
    places = [*everything_in(settings.data_home.root), ("printed", (printed.out + printed.err).encode())]
    assert not found_in(iter(places), WORDS)


@pytest.mark.parametrize("label", ["CID", "NAME", "PASSPORT"])
def test_a_word_is_found_in_each_kind_of_file(tmp_path: Path, label: str) -> None:
    word = WORDS[label]
    files = planted_files(tmp_path / "files", word)
    found = found_in(everything_in(tmp_path / "files"), {label: word})
    missed = [path.name for path in files if not any(str(path) in one for one in found)]
    assert missed == []
    assert not found_in(everything_in(tmp_path / "files"), {"other": WORDS["LNAME"]})


def test_a_word_is_found_in_a_log_that_is_written_ahead_and_in_spill(tmp_path: Path) -> None:
    path = tmp_path / "files" / "open.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (a varchar)")
        connection.execute("insert into t values (?)", [WORDS["NAME"]])
        wal = path.with_name("open.duckdb.wal")
        assert any(str(wal) in one for one in found_in(everything_in(tmp_path / "files"), WORDS))
    folder = tmp_path / "spill"
    with little_memory(folder) as plain:
        plain.execute("create table people as select ? as a, repeat('x', 30) as b", [WORDS["NAME"]])
        assert found_in(spilled(plain, "people", folder), {"NAME": WORDS["NAME"]})


def test_the_forms_of_a_word_are_not_those_of_any_other() -> None:
    text = re.sub(r"[0-9]", "0", "".join(WORDS.values())).encode()
    assert not found_in({"like": text}, {label: word for label, word in WORDS.items() if any(map(str.isdigit, word))})
