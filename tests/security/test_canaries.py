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
from tests.ingestion.nodes import run
from tests.ingestion.odd_zips import make_zip, row, text, zip_name
from tests.ingestion.test_privacy import PLANTED, canary_members
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
