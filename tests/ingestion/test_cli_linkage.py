"""`ruam identity link, review, train, evaluate` from the outside: exit codes, what is said, and what stays in force."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from identity.linkage.model import CURRENT
from identity.vault import opened
from ruam.files import locked
from ruam.settings import Settings
from tests.ingestion.nodes import run
from tests.ingestion.odd_zips import cid, make_zip, row, text, zip_name
from tests.ingestion.reading import take_in

Command = Callable[..., int]
Captured = pytest.CaptureFixture[str]
WHY = ("--purpose", "a test")
NUMBER = cid(8201)
FOREIGNER = {
    **{"CID": "", "NAME": "ออง ทู", "LNAME": "", "BIRTH": "19900717", "SEX": "1", "NATION": "048"},
    "PASSPORT": "MC12345",
}
SECRETS = ("ออง", "MC12345", NUMBER)


@pytest.fixture(scope="module")
def one_linked(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Thai; a foreigner without a number whom two facilities know, and somebody else at one of them."""
    folder = tmp_path_factory.mktemp("linked")
    other = {**FOREIGNER, "PID": "9", "NAME": "เมีย เมีย", "BIRTH": "19830202", "SEX": "2", "PASSPORT": "MB98765"}
    people = {
        "90101": [row("PERSON", CID=NUMBER)],
        "90201": [row("PERSON", "90201", **FOREIGNER)],
        "90301": [row("PERSON", "90301", **FOREIGNER), row("PERSON", "90301", **other)],
    }
    for hospcode, rows in people.items():
        make_zip(folder / "in" / zip_name(hospcode), {"PERSON.txt": text("PERSON", *rows)})
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    take_in(settings, folder / "in")
    for step in ("take-in", "link"):
        code, said = run(settings.home, "identity", step, *WHY)
        assert code == 0, said
    return settings.home


@pytest.fixture
def linked(settings: Settings, one_linked: Path) -> Settings:
    shutil.rmtree(settings.home)
    shutil.copytree(one_linked, settings.home)
    return settings


def said(capfd: Captured) -> str:
    """All that was said since the last time, in one line; nobody is named in it."""
    words = "".join(capfd.readouterr())
    assert not any(secret in words for secret in SECRETS)
    return " ".join(words.split())


def test_who_is_linked_leaves_the_vault_by_pseudonym_alone(command: Command, linked: Settings, capfd: Captured) -> None:
    links = pl.read_parquet(linked.data_home.links)
    assert links.select("hospcode", "pid", "person_tier").rows() == [
        ("90201", "1001", "B"),
        ("90301", "1001", "B"),
        ("90301", "9", "C"),
    ]
    one, same, other = links["person_key"]
    assert one == same != other
    assert all(len(key) == 32 for key in (one, other))
    assert command("identity", "link", *WHY) == 0
    assert "0 records are new or changed" in said(capfd)
    assert pl.read_parquet(linked.data_home.links).equals(links)
    audit = (linked.data_home.logs / "identity-audit.jsonl").read_text(encoding="utf-8")
    assert not any(secret in audit for secret in SECRETS)


def test_a_vault_of_an_earlier_version_is_linked_anew_by_itself_and_says_so(
    command: Command, linked: Settings, capfd: Captured
) -> None:
    links = pl.read_parquet(linked.data_home.links)
    with opened(linked, "test", "to make it old") as vault:
        vault.connection.execute("drop table linkage.format; alter table linkage.blocks drop column birth")
    assert command("identity", "link", *WHY) == 0
    shown = said(capfd)
    assert "An earlier version had made the vault's index: it was made anew" in shown
    assert "4 records are new or changed" in shown
    assert pl.read_parquet(linked.data_home.links).equals(links)


def model_with(folder: Path, change: Callable[[dict[str, object]], object]) -> Path:
    content = json.loads(CURRENT.read_text(encoding="utf-8"))
    change(content)
    path = folder / "model.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def naming_other_columns(content: dict[str, object]) -> None:
    comparisons = content["splink"]["comparisons"]  # type: ignore[index]
    comparisons[0]["comparison_levels"][1]["sql_condition"] = "blood_l = blood_r and shoe_l = shoe_r"


UNFIT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "other columns": (lambda folder: model_with(folder, naming_other_columns), "compares blood, shoe, which records"),
    "a field too few": (lambda folder: model_with(folder, lambda model: model.pop("thresholds")), "thresholds: Field"),
    "no JSON": (lambda folder: (folder / "a").write_text("{") and folder / "a", "is not a linkage model"),
    "no file": (lambda folder: folder / "none.json", "There is no linkage model"),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_model_that_does_not_fit_is_4_names_what_is_wrong_and_leaves_the_last_links(
    command: Command, linked: Settings, tmp_path: Path, capfd: Captured, unfit: str
) -> None:
    make, expected = UNFIT[unfit]
    before = linked.data_home.links.read_bytes()
    path = make(tmp_path)
    for arguments in (("link", *WHY), ("review", tmp_path / "pairs.csv", *WHY), ("evaluate", "--persons", "500")):
        assert command("identity", *arguments, "--model", path) == 4
        shown = said(capfd)
        assert expected in shown
        assert path.name in shown
    assert linked.data_home.links.read_bytes() == before
    assert not (tmp_path / "pairs.csv").exists()


def test_a_locked_vault_is_75_and_leaves_the_last_links(
    command: Command, linked: Settings, tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUAM_VAULT_WAIT_SECONDS", "0.05")
    before = linked.data_home.links.read_bytes()
    with locked(linked.data_home.vault / ".lock", "The vault"):
        for arguments in (("link",), ("review", tmp_path / "pairs.csv")):
            assert command("identity", *arguments, *WHY) == 75
            assert "docs/runbooks/vault.md" in said(capfd)
    assert linked.data_home.links.read_bytes() == before


def sampled(command: Command, folder: Path) -> list[str]:
    """The header of a sample, which only its owner may read, and a pair of it."""
    path = folder / "pairs.csv"
    assert command("identity", "review", path, *WHY) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text("utf-8-sig").splitlines()
    return lines[:2]


def answered(line: str, first: str, second: str) -> str:
    assert line.endswith(',"",""')
    return line.removesuffix(',"",""') + f",{first},{second}"


@pytest.mark.parametrize("form", ["as written", "semicolons", "tabs", "Thai Windows"])
def test_answers_are_read_back_however_a_spreadsheet_saves_them(
    command: Command, linked: Settings, tmp_path: Path, capfd: Captured, form: str
) -> None:
    header, pair = sampled(command, tmp_path)
    content = f"{header}\r\n{answered(pair, 'Y', ' y')}\r\n"
    separator = {"semicolons": ";", "tabs": "\t"}.get(form, ",")
    encoding = "cp874" if form == "Thai Windows" else "utf-8"
    (tmp_path / "answers.csv").write_bytes(content.replace(",", separator).encode(encoding))
    said(capfd)
    assert command("identity", "review", tmp_path / "answers.csv", "--read", *WHY) == 0
    assert "1 of 1 pairs have both answers: agreement 100.0%" in said(capfd)


def test_each_reviewer_may_send_a_file_and_none_may_answer_twice(
    command: Command, linked: Settings, tmp_path: Path, capfd: Captured
) -> None:
    header, pair = sampled(command, tmp_path)
    one, other, again = tmp_path / "one.csv", tmp_path / "other.csv", tmp_path / "again.csv"
    for path, answers in ((one, ("y", "")), (other, ("", "n")), (again, ("n", ""))):
        path.write_text(f"{header}\n{answered(pair, *answers)}\n", encoding="utf-8")
    said(capfd)
    assert command("identity", "review", one, other, "--read", *WHY) == 0
    assert "1 of 1 pairs have both answers: agreement 0.0%" in said(capfd)
    assert command("identity", "review", one, again, "--read", *WHY) == 2
    assert "again.csv, line 2, column reviewer_1: another answer stands before" in said(capfd)


BAD: dict[str, tuple[Callable[[str, str], bytes], str]] = {
    "an odd answer": (
        lambda header, pair: f"{header}\n{answered(pair, 'ออง', '')}\n".encode(),
        "bad.csv, line 2, column reviewer_1: the answer is none of y, n, ?",
    ),
    "an unknown pair": (
        lambda header, pair: f"{header}\n{answered('p0' + pair[2:], 'y', '')}\n".encode(),
        "bad.csv, line 2, column pair: this is no pair of the vault",
    ),
    "no header": (lambda _, pair: pair.encode(), "has no column pair, reviewer_1, reviewer_2"),
    "nothing": (lambda _, __: b"", "has no column pair"),
    "a workbook": (lambda _, __: b"PK\x03\x04abc", "is a workbook: save it as CSV"),
    "a picture": (lambda _, __: b"\x89PNG\xff\xfe\xfd", "is no text"),
}


@pytest.mark.parametrize("bad", BAD)
def test_answers_that_cannot_be_read_are_2_and_say_where(
    command: Command, linked: Settings, tmp_path: Path, capfd: Captured, bad: str
) -> None:
    make, expected = BAD[bad]
    (tmp_path / "bad.csv").write_bytes(make(*sampled(command, tmp_path)))
    said(capfd)
    assert command("identity", "review", tmp_path / "bad.csv", "--read", *WHY) == 2
    assert expected in said(capfd)


def test_a_file_of_answers_that_is_not_there_is_2(command: Command, linked: Settings, tmp_path: Path) -> None:
    assert command("identity", "review", tmp_path / "none.csv", "--read", *WHY) == 2


@pytest.mark.parametrize("name", ["link", "review", "train", "evaluate"])
def test_each_command_says_what_it_does_and_what_it_needs(command: Command, capfd: Captured, name: str) -> None:
    assert command("identity", name, "--help") == 0
    shown = said(capfd)
    wanted = {"link": "--purpose", "review": "--read", "train": "--out", "evaluate": "Exit code 9"}
    assert wanted[name] in shown
    assert name in shown


@pytest.mark.parametrize(
    "arguments",
    [("train", "small"), ("train", "small", "--out", "x", "--persons", "10"), ("evaluate", "--persons", "9")],
)
def test_too_few_people_and_a_missing_folder_are_2(command: Command, arguments: tuple[str, ...]) -> None:
    assert command("identity", *arguments) == 2


@pytest.mark.slow
def test_a_model_is_trained(command: Command, tmp_path: Path) -> None:
    assert command("identity", "train", "small", "--out", tmp_path, "--persons", "1000") == 0
    assert (tmp_path / "small" / "report.md").exists()
    assert json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))["version"] == "small"


@pytest.mark.parametrize(("persons", "code"), [(2000, 0), (500, 9)])
def test_a_model_is_judged_and_each_target_that_it_misses_is_named(
    command: Command, capfd: Captured, persons: int, code: int
) -> None:
    """Of 500 people some 30 pairs are of newborns, too few of which are found."""
    assert command("identity", "evaluate", "--persons", persons) == code
    shown = said(capfd)
    assert all(group in shown for group in ("overall", "foreign", "newborn", "stateless", "mistyped"))
    assert ("newborn: recall" in shown) == (code == 9)
