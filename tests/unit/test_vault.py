"""The vault: what stands in it, that it takes in once, that it forgets, and that its log cannot be changed unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from identity import audit
from identity.intake import RECORD, Intake
from identity.linkage.link import link
from identity.linkage.model import load
from identity.vault import Counts, Vault, opened
from ruam.errors import BusyError, SetupError
from ruam.files import locked
from ruam.settings import Settings

Row = dict[str, object]
PROVINCES = {"90101": "50", "90201": "65"}


def p1(number: str) -> str:
    """As made of a number by the pseudonymiser, for tests that need no more than that it is one for each."""
    return number.encode().hex().ljust(32, "0")[:32]


def record(pid: str = "1", hospcode: str = "90101", number: str | None = None, day: int = 1, **more: object) -> Row:
    row: Row = {
        "hospcode": hospcode,
        "pid": pid,
        "cid": number,
        "linkage_pseudonym": p1(number) if number else None,
        "given": "สมหญิง",
        "d_update": datetime(2024, 5, day),  # noqa: DTZ001 - senders write local time
        "sent_at": datetime(2024, 6, 1),  # noqa: DTZ001
        "delivery_id": "d",
        "source_line": 2,
    }
    return row | more


def hand_over(settings: Settings, batch: str, *rows: Row, withdrawn: tuple[Row, ...] = ()) -> None:
    with Intake.of(settings.data_home).writer("01", batch) as writer:
        writer.people(pl.DataFrame(list(rows), schema_overrides=RECORD))
        for name in ("linkage_pseudonym", "mother_linkage_pseudonym"):
            writer.numbers(pl.Series([row.get(name) for row in rows], dtype=pl.String))
        if withdrawn:
            writer.withdrawals(pl.DataFrame(list(withdrawn)))
        writer.seal()


@contextmanager
def vault_of(settings: Settings) -> Iterator[Vault]:
    with opened(settings, "test", "a test of the vault") as vault:
        yield vault


def take_in(settings: Settings, *batches: str) -> None:
    with vault_of(settings) as vault:
        vault.take_in(Intake.of(settings.data_home), batches, PROVINCES)


def held(settings: Settings, columns: str = "hospcode, pid, given") -> list[tuple[object, ...]]:
    with vault_of(settings) as vault:
        return vault.connection.execute(f"select {columns} from records order by hospcode, pid").fetchall()


def counts(settings: Settings) -> Counts:
    with vault_of(settings) as vault:
        return vault.counts()


VERSIONS = (
    record(day=1, given="oldest"),
    record(day=2, given="sent early"),
    record(day=2, given="smaller id", sent_at=datetime(2024, 6, 2), delivery_id="c"),  # noqa: DTZ001
    record(day=2, given="earlier line", sent_at=datetime(2024, 6, 2)),  # noqa: DTZ001
    record(day=2, given="stands", sent_at=datetime(2024, 6, 2), source_line=3),  # noqa: DTZ001
    record(d_update=None, given="without a time"),
)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0), (4, 0, 5, 2, 1, 3)])
def test_of_a_record_the_one_stands_that_stands_in_staging_whatever_the_order(
    settings: Settings, order: tuple[int, ...]
) -> None:
    for place in order:
        hand_over(settings, f"b{place}", VERSIONS[place])
    take_in(settings, *(f"b{place}" for place in order[:3]))
    take_in(settings, *(f"b{place}" for place in order))
    assert held(settings, "given, province_code") == [("stands", "50")]


def test_what_belongs_to_no_committed_batch_waits_and_what_was_taken_is_gone(settings: Settings) -> None:
    hand_over(settings, "b1", record("1", number="1"))
    hand_over(settings, "b2", record("2", number="2"))
    take_in(settings, "b1")
    assert held(settings) == [("90101", "1", "สมหญิง")]
    assert [batch for _, batch in Intake.of(settings.data_home).waiting()] == ["b2"]
    take_in(settings, "b1", "b2")
    assert counts(settings) == Counts(2, 2, 0, 2, 0, 2)


def test_a_batch_that_comes_back_is_not_taken_in_again(settings: Settings) -> None:
    hand_over(settings, "b1", record(day=1, given="older"))
    path = Intake.of(settings.data_home).sealed("01", "b1").path
    content = path.read_bytes()
    take_in(settings, "b1")
    with vault_of(settings) as vault:
        vault.connection.execute("update records set given = 'seen'")
    path.write_bytes(content)
    take_in(settings, "b1")
    assert held(settings, "given") == [("seen",)]
    assert not path.exists()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_withdrawn_record_goes_and_a_newer_one_stands(settings: Settings, is_first: bool) -> None:
    withdrawal = {"hospcode": "90101", "pid": "1", "d_update": datetime(2024, 5, 2)}  # noqa: DTZ001
    batches = [
        ((record("1", day=2), record("2", day=1)), ()),
        ((record("3"),), (withdrawal,)),
    ]
    for place, (rows, withdrawn) in enumerate(batches[::-1] if is_first else batches):
        hand_over(settings, f"b{place}", *rows, withdrawn=withdrawn)
    take_in(settings, "b0", "b1")
    assert [row[1] for row in held(settings)] == ["2", "3"]
    hand_over(settings, "b2", record("1", day=3))
    take_in(settings, "b2")
    assert [row[1] for row in held(settings)] == ["1", "2", "3"]


def test_an_error_on_the_way_leaves_the_batch_for_the_next_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(settings, "b0", record())
    monkeypatch.setenv("RUAM_FAULT_FOR_TESTS", "vault.filled:EIO")
    with pytest.raises(Exception, match=r"vault\.filled"):
        take_in(settings, "b0")
    monkeypatch.delenv("RUAM_FAULT_FOR_TESTS")
    assert held(settings) == []
    take_in(settings, "b0")
    assert len(held(settings)) == 1


def test_the_engine_reaches_no_other_file_and_nothing_can_be_set(settings: Settings, tmp_path: Path) -> None:
    hand_over(settings, "b0", record())
    with vault_of(settings) as vault:
        vault.take_in(Intake.of(settings.data_home), ["b0"], PROVINCES)
        for refused in (
            f"copy records to '{tmp_path / 'out.parquet'}'",
            f"attach '{tmp_path / 'out.duckdb'}'",
            f"export database '{tmp_path / 'out'}'",
            "from read_text('/etc/hostname')",
            "set enable_external_access = true",
            "set temp_file_encryption = false",
            "set temp_directory = ''",
            "install json",
        ):
            with pytest.raises(duckdb.Error):
                vault.connection.execute(refused)
        told = str(vault.connection.execute("from duckdb_databases()").fetchall())
        assert "GCM" in told
    assert list(tmp_path.glob("out*")) == []


def test_the_key_is_in_no_sql_no_setting_and_no_error(settings: Settings) -> None:
    import base64

    key = Intake.of(settings.data_home).key.secret
    forms = (key.hex(), base64.b64encode(key).decode(), repr(key))
    take_in(settings)
    with vault_of(settings) as vault:
        shown = [
            vault.connection.execute(f"from {table}").fetchall()
            for table in ("duckdb_settings()", "duckdb_databases()", "duckdb_logs", "pragma_database_list")
        ]
    path = settings.data_home.keys / "vault.key"
    path.chmod(0o600)
    path.write_bytes(bytes(32))
    path.chmod(0o400)
    with pytest.raises(SetupError, match="key_does_not_fit") as caught, vault_of(settings):
        pass
    said = str([shown, str(caught.value), repr(caught.value.__cause__), Intake.of(settings.data_home)])
    assert not [form for form in forms if form in said]


def test_spill_is_encrypted_and_goes(settings: Settings) -> None:
    """Forced by little memory. The same query without encryption shows that the marker would be seen."""
    spilled = settings.model_copy(update={"memory_limit": "60MB", "workers": 1})
    query = "select 'PLANTEDMARK' || range || repeat('y', 40) as z from range(1500000) order by hash(range)"

    def n_spilled_plain(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
        rows = connection.execute(query)
        rows.fetchone()
        files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        assert sum(map(len, files)) > 1 << 20, "nothing was spilled"
        return sum(content.count(b"PLANTEDMARK") for content in files)

    folder = settings.data_home.vault / "spill"
    with opened(spilled, "test", "spill") as vault:
        assert n_spilled_plain(vault.connection, folder) == 0
    assert not folder.exists()
    with duckdb.connect(config={"memory_limit": "60MB", "threads": 1, "temp_directory": str(folder)}) as plain:
        assert n_spilled_plain(plain, folder) > 1000


def test_while_another_has_it_one_is_told_and_waits(settings: Settings) -> None:
    told: list[str] = []
    lock = settings.data_home.vault / ".lock"
    hasty = settings.model_copy(update={"vault_wait_seconds": 0.0})
    with (
        locked(lock, "The vault"),
        pytest.raises(BusyError, match="in use by process"),
        opened(hasty, "test", "busy", told.append),
    ):
        pass
    assert told == []
    holder = locked(lock, "The vault")
    holder.__enter__()

    def waiting(why: str) -> None:
        told.append(why)
        holder.__exit__(None, None, None)

    with opened(settings, "test", "patient", waiting) as vault:
        assert vault.counts().records == 0
    assert [str(os.getpid()) in why for why in told] == [True]


def test_a_vault_open_in_another_program_is_busy(settings: Settings) -> None:
    take_in(settings)
    holding = (
        "import duckdb, sys; c = duckdb.connect(); "
        'c.execute("attach \'" + sys.argv[1] + "\' as v (encryption_key ?, read_only)", [sys.argv[2]]); '
        "print('open', flush=True); sys.stdin.read()"
    )
    import base64

    key = base64.b64encode(Intake.of(settings.data_home).key.secret).decode()
    path = str(settings.data_home.vault / "vault.duckdb")
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", holding, path, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(BusyError, match="vault_is_locked"), vault_of(settings):
            pass
        other.communicate(b"")
    assert counts(settings).records == 0


def number_of(settings: Settings, number: str) -> str:
    """The linkage pseudonym by the home's own key."""
    from identity.keys import load_keys
    from identity.pseudonym import Pseudonymiser

    return Pseudonymiser(load_keys(settings.data_home.keys)).linkage_pseudonym(number)


@pytest.fixture
def peopled(settings: Settings) -> Settings:
    """One person at two facilities, her child, a stranger, and somebody without a number."""
    one, other = number_of(settings, "1"), number_of(settings, "2")
    hand_over(
        settings,
        "b0",
        record("1", "90101", "1", linkage_pseudonym=one),
        record("7", "90201", "1", linkage_pseudonym=one),
        record("2", "90101", "2", linkage_pseudonym=other, mother_cid="1", mother_linkage_pseudonym=one),
        record("3", "90101", None),
    )
    take_in(settings, "b0")
    return settings


@pytest.mark.parametrize("is_by_number", [True, False])
def test_a_forgotten_person_is_gone_everywhere_and_does_not_come_back(peopled: Settings, is_by_number: bool) -> None:
    with vault_of(peopled) as vault:
        link(vault.connection, load())
        gone = vault.forget([], "1") if is_by_number else vault.forget([("90201", "7")])
        assert (gone.records, gone.numbers, gone.mentions) == (2, 1, 1)
        assert gone.pairs == [("90101", "1"), ("90201", "7")]
    with vault_of(peopled) as vault:
        run = vault.connection.execute
        left = run("select hospcode, pid, mother from linkage.features order by pid").fetchall()
        assert left == [("90101", "2", None), ("90101", "3", None)]
        assert run("select count(distinct n) from linkage.blocks").fetchall() == [(2,)]
    assert held(peopled, "pid, mother_cid") == [("2", None), ("3", None)]
    one = number_of(peopled, "1")
    again = [
        record("1", "90101", "1", day=9, linkage_pseudonym=one),
        record("1", "90101", None, day=10),
        record("8", "90201", "1", day=9, linkage_pseudonym=one),
        record("2", "90101", "2", day=9, linkage_pseudonym=number_of(peopled, "2"), mother_linkage_pseudonym=one),
    ]
    hand_over(peopled, "b1", *again)
    take_in(peopled, "b1")
    assert held(peopled, "pid, mother_linkage_pseudonym") == [("2", None), ("3", None)]
    assert counts(peopled).numbers == 1
    assert counts(peopled).forgotten == 3, "the number and the two records' names, all as p1"


def test_who_has_no_number_is_forgotten_by_the_record(peopled: Settings) -> None:
    with vault_of(peopled) as vault:
        assert vault.is_known(("90101", "3"))
        assert vault.forget([("90101", "3")]).records == 1
    hand_over(peopled, "b1", record("3", day=9))
    take_in(peopled, "b1")
    assert len(held(peopled)) == 3
    with vault_of(peopled) as vault:
        assert not vault.is_known(("90101", "3"))


@pytest.mark.parametrize("point", ["vault.forgotten", "vault.copied"])
def test_a_forgetting_that_fails_may_be_repeated(
    peopled: Settings, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("RUAM_FAULT_FOR_TESTS", f"{point}:ENOSPC")
    with pytest.raises(Exception, match="No space left"), vault_of(peopled) as vault:
        vault.forget([("90101", "1")])
    monkeypatch.delenv("RUAM_FAULT_FOR_TESTS")
    with vault_of(peopled) as vault:
        assert vault.has_erased() == (point == "vault.copied")
        vault.forget([("90101", "1")])
    with vault_of(peopled) as vault:
        assert not vault.has_erased()
        assert vault.counts().records == 2
    assert list(peopled.data_home.vault.glob(".fresh*")) == []


def test_after_a_forgetting_the_file_is_another_that_never_held_the_person(peopled: Settings) -> None:
    path = peopled.data_home.vault / "vault.duckdb"
    before = path.stat().st_ino
    with vault_of(peopled) as vault:
        vault.forget([("90101", "1")])
    assert path.stat().st_ino != before


def lines(settings: Settings) -> list[dict[str, object]]:
    return [json.loads(line) for line in audit.log_of(settings.data_home).read_text().splitlines()]


def test_each_opening_is_in_the_log_with_who_why_and_what(peopled: Settings) -> None:
    with opened(peopled, "status", "monthly count") as vault:
        vault.tell(event="counted", records=vault.counts().records)
    begun, ended = lines(peopled)[-2:]
    assert (begun["command"], begun["purpose"], begun["event"]) == ("status", "monthly count", "opened")
    assert ended["records"] == 4
    assert begun["by"]
    assert [line["seq"] for line in lines(peopled)] == list(range(1, len(lines(peopled)) + 1))


Tamper = Callable[[list[str]], list[str]]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda all_: [all_[0].replace("a test of the vault", "another purpose"), *all_[1:]],
        lambda all_: [*all_[:1], *all_[2:]],
        lambda all_: [all_[1], all_[0], *all_[2:]],
        lambda all_: [*all_[:2], all_[1], *all_[2:]],
        lambda all_: [*all_[:1], "{", *all_[2:]],
        lambda all_: all_[1:],
    ],
)
def test_a_line_that_was_changed_taken_out_or_put_in_is_found(settings: Settings, tamper: Tamper) -> None:
    for _ in range(3):
        take_in(settings)
    path = audit.log_of(settings.data_home)
    assert audit.problems(path) == []
    path.write_text("".join(f"{line}\n" for line in tamper(path.read_text().splitlines())))
    assert audit.problems(path) != []


@pytest.mark.parametrize("n_left", [0, 1])
def test_a_log_that_was_cut_off_or_written_anew_is_found_by_the_vault(settings: Settings, n_left: int) -> None:
    for _ in range(3):
        take_in(settings)
    path = audit.log_of(settings.data_home)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:n_left]))
    head = audit.Head(n_left, str(lines(settings)[-1]["hash"]) if n_left else audit.BEGINNING)
    while head.seq < 3 and n_left:
        head = audit.append(path, head, "status", "forged", {})
    assert audit.problems(path) == [], "the chain alone does not tell"
    with vault_of(settings) as vault:
        assert audit.problems(path, vault.known) != []


def test_a_line_that_a_power_cut_tore_is_no_tampering(settings: Settings) -> None:
    take_in(settings)
    path = audit.log_of(settings.data_home)
    with path.open("a") as file:
        file.write('{"seq": 2, "at": "20')
    take_in(settings)
    assert audit.problems(path) == []


def test_only_what_says_something_else_of_a_person_is_new_to_linkage(peopled: Settings) -> None:
    with vault_of(peopled) as vault:
        link(vault.connection, load())
    hand_over(peopled, "b1", record("3", "90101", None, day=9), record("2", "90101", "2", day=9, sex="2"))
    hand_over(peopled, "b2", record("9", "90101", None, day=9))
    take_in(peopled, "b1", "b2")
    assert held(peopled, "pid, arrived, is_known") == [
        ("1", 1, False),
        ("2", 2, True),
        ("3", 1, True),
        ("9", 3, False),
        ("7", 1, False),
    ]
    with vault_of(peopled) as vault:
        assert link(vault.connection, load()).n_new == 2
