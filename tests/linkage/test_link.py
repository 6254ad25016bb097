"""Linking what is new: persons keep their names, and nothing changes when something is wrong."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from identity.linkage import link as linking
from identity.linkage.features import forget
from identity.linkage.link import link, persons
from identity.linkage.links import LINKS, ensure_links, write_links
from identity.linkage.model import CURRENT, Model, load
from ruam.errors import LinkageError, SetupError
from tests.linkage.people import NUMBER, add, numbered, record

TWO_PLACES = (record(hospcode="10001"), record(hospcode="10002", given="นายสมชาย", delivery_id="d2"))


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


@pytest.fixture
def vault() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def found(vault: duckdb.DuckDBPyConnection, model: Model) -> dict[tuple[str, str], tuple[str, str]]:
    """(hospcode, pid) to person and tier."""
    rows = persons(vault, model).select("hospcode", "pid", "person", "person_tier").rows()
    return {(hospcode, pid): (person, tier) for hospcode, pid, person, tier in rows}


def test_one_person_of_two_facilities_is_one(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES, record(hospcode="10003", given="มณี", sex="2", mobile=None, delivery_id="d3"))
    done = link(vault, model)
    assert (done.n_new, done.n_residue, done.n_linked) == (3, 3, 2)
    assert found(vault, model) == {
        ("10001", "1"): ("person:10001:1", "B"),
        ("10002", "1"): ("person:10001:1", "B"),
        ("10003", "1"): ("person:10003:1", "C"),
    }


def test_who_has_a_number_elsewhere_bears_its_key(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, record(hospcode="10001"), numbered(NUMBER, hospcode="10002", delivery_id="d2"))
    link(vault, model)
    assert found(vault, model) == {("10001", "1"): (f"p1 of {NUMBER}", "B")}


def test_a_slip_of_a_number_finds_the_right_one(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    wrong = NUMBER[:8] + NUMBER[9] + NUMBER[8] + NUMBER[10:]
    add(
        vault,
        record(cid=wrong, cid_class="bad_check_digit", given="สมชย", birth_date=date(1980, 1, 1), mobile=None),
        numbered(NUMBER, hospcode="10002", delivery_id="d2"),
    )
    link(vault, model)
    assert found(vault, model) == {("10001", "1"): (f"p1 of {NUMBER}", "B")}


def test_two_valid_numbers_are_two_people_whatever_agrees(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    other = "1546612345681"
    add(vault, numbered(NUMBER), numbered(other, hospcode="10002"), record(hospcode="10003", delivery_id="d2"))
    done = link(vault, model)
    person, _ = found(vault, model)["10003", "1"]
    assert person in {f"p1 of {NUMBER}", f"p1 of {other}"}
    assert done.n_bridges == 1


def test_twins_stay_two(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    born = {"birth_date": date(2025, 1, 2), "mother_cid": NUMBER, "prename": "001"}
    add(
        vault,
        record(hospcode="10001", given="ธนา", **born),
        record(hospcode="10002", given="ธนา", **born),
        record(hospcode="10001", pid="2", given="กิตติ", **born),
        record(hospcode="10002", pid="2", given="กิตติ", **born),
        record(hospcode="10003", given="ด.ช.บุตรนางมณี", **born),
    )
    link(vault, model)
    people = found(vault, model)
    assert people["10001", "1"] == people["10002", "1"]
    assert people["10001", "2"] == people["10002", "2"]
    assert len({person for person, _ in people.values()}) == 3, "who has no name yet may be either"


@pytest.mark.parametrize(("twins", "tier"), [(("1546612345681",), "B"), (("1546612345681", "1546612345690"), "C")])
def test_who_has_no_name_is_the_one_child_with_a_number_and_neither_of_two(
    vault: duckdb.DuckDBPyConnection, model: Model, twins: tuple[str, ...], tier: str
) -> None:
    born = {"birth_date": date(2025, 1, 2), "mother_cid": NUMBER, "prename": "001"}
    named = zip(twins, ("ธนา", "กิตติ"), strict=False)
    add(
        vault,
        *(numbered(number, hospcode=number[-5:], given=given, **born) for number, given in named),
        record(hospcode="10003", given="ด.ช.บุตรนางมณี", **born),
    )
    link(vault, model)
    assert found(vault, model)["10003", "1"][1] == tier


def test_of_a_child_without_a_name_sex_or_birth_date_must_agree(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    """All else is its mother's."""
    born = {"mother_cid": NUMBER, "prename": "001", "hn": None}
    add(
        vault,
        record(hospcode="10001", given="ธนา", birth_date=date(2025, 1, 2), **born),
        record(hospcode="10002", given="ทารก", birth_date=date(2025, 1, 2), **born),
        record(hospcode="10003", given="ทารก", birth_date=date(2025, 1, 3), **{**born, "sex": "2"}),
    )
    link(vault, model)
    people = found(vault, model)
    assert people["10001", "1"] == people["10002", "1"]
    assert people["10003", "1"][1] == "C"


@pytest.mark.parametrize(("n_without_name", "n_persons"), [(2, 1), (3, 4)])
def test_a_child_whom_three_know_by_name_and_three_by_none_is_two(
    vault: duckdb.DuckDBPyConnection, model: Model, n_without_name: int, n_persons: int
) -> None:
    born = {"birth_date": date(2025, 1, 2), "mother_cid": NUMBER, "prename": "001"}
    add(
        vault,
        *(record(hospcode=f"1000{at}", given="ธนา", **born) for at in range(3)),
        *(record(hospcode=f"2000{at}", given="ทารก", **born) for at in range(n_without_name)),
    )
    link(vault, model)
    assert len({person for person, _ in found(vault, model).values()}) == n_persons


def test_father_and_son_of_one_name_stay_two(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, record(), record(hospcode="10002", birth_date=date(2005, 9, 9)))
    link(vault, model)
    assert {tier for _, tier in found(vault, model).values()} == {"C"}


def test_a_sister_born_in_the_year_of_a_first_of_january_stays_herself(
    vault: duckdb.DuckDBPyConnection, model: Model
) -> None:
    add(
        vault,
        record(given="มณี", birth_date=date(1980, 1, 1)),
        numbered(NUMBER, hospcode="10002"),
        numbered(NUMBER, hospcode="10003"),
    )
    link(vault, model)
    assert {tier for _, tier in found(vault, model).values()} == {"C"}


def test_the_same_again_does_nothing(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES)
    link(vault, model)
    before = found(vault, model)
    assert link(vault, model).n_new == 0
    assert found(vault, model) == before


def test_the_same_input_gives_the_same_names(model: Model) -> None:
    results = []
    for rows in (TWO_PLACES, TWO_PLACES[::-1]):
        vault = duckdb.connect()
        add(vault, *rows)
        link(vault, model)
        results.append(found(vault, model))
    assert results[0] == results[1]


def test_a_new_record_takes_the_name_of_an_old_person(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, record(hospcode="20002"))
    link(vault, model)
    add(vault, record(hospcode="10001", delivery_id="d2"))
    link(vault, model)
    assert {person for person, _ in found(vault, model).values()} == {"person:20002:1"}


def test_a_number_that_comes_later_renames_nobody(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES)
    link(vault, model)
    before = found(vault, model)
    add(vault, numbered(NUMBER, hospcode="10003", delivery_id="d3"))
    assert link(vault, model).n_bridges > 0
    assert found(vault, model) == before


def test_a_record_that_gets_its_number_leaves_the_links(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES)
    link(vault, model)
    add(vault, numbered(NUMBER, hospcode="10002", delivery_id="d3"))
    link(vault, model)
    assert found(vault, model) == {("10001", "1"): ("person:10001:1", "C")}


def test_a_person_whom_nobody_can_be_fails_the_run(
    vault: duckdb.DuckDBPyConnection, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(vault, *TWO_PLACES)
    link(vault, model)
    before = found(vault, model)
    monkeypatch.setattr(linking, "MOST_RECORDS_A_MONTH", 2)
    add(vault, record(hospcode="10003", delivery_id="d3"))
    with pytest.raises(LinkageError, match="more than 2 records in a month"):
        link(vault, model)
    assert found(vault, model) == before


def test_a_model_that_does_not_fit_is_named_with_its_columns(tmp_path: Path) -> None:
    text = json.loads(CURRENT.read_text(encoding="utf-8"))
    text["splink"]["comparisons"][0]["comparison_levels"][1]["sql_condition"] = "blood_group_l = blood_group_r"
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(SetupError, match="compares blood_group, which records do not have"):
        load(path)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1}', "no JSON"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match="is not a linkage model"):
        load(path)


def test_records_without_a_column_are_refused(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES)
    vault.execute("alter table records drop column passport")
    with pytest.raises(SetupError, match="no column passport"):
        link(vault, model)


def test_a_vault_without_records_says_what_to_do(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    with pytest.raises(SetupError, match="no records yet"):
        link(vault, model)


def test_splink_leaves_no_table_behind(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES)
    link(vault, model)
    tables = vault.execute("select table_name from information_schema.tables").fetchall()
    assert not [name for (name,) in tables if "splink" in name]


def test_who_is_forgotten_is_nowhere_in_the_index(vault: duckdb.DuckDBPyConnection, model: Model) -> None:
    add(vault, *TWO_PLACES)
    link(vault, model)
    forget(vault, "select '10002' as hospcode, '1' as pid")
    for table in ("features", "persons"):
        assert vault.execute(f"select count(*) from linkage.{table}").fetchone() == (1,)
    assert vault.execute("select count(distinct n) from linkage.blocks").fetchone() == (1,)
    assert vault.execute("select count(*) from linkage.edges").fetchone() == (0,)


def test_what_leaves_the_vault_bears_no_name(vault: duckdb.DuckDBPyConnection, model: Model, tmp_path: Path) -> None:
    add(vault, *TWO_PLACES, record(hospcode="10003", pid="9", given="มณี", sex="2", birth_date=None, delivery_id="d3"))
    link(vault, model)
    path = tmp_path / "links" / "links.parquet"
    n = write_links(
        persons(vault, model), path, of_number=lambda p1: "n" * 32, of_name=lambda name: f"{len(name):032d}"
    )
    written = pl.read_parquet(path)
    assert n == written.height == 3
    assert dict(written.schema) == LINKS
    assert b"person:" not in path.read_bytes()


def test_an_empty_links_file_has_the_columns_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "links.parquet"
    ensure_links(path)
    assert dict(pl.read_parquet_schema(path)) == LINKS
    path.write_bytes(b"mine")
    ensure_links(path)
    assert path.read_bytes() == b"mine"


OLDER = {
    "without a version": "drop table linkage.format",
    "of another version": "update linkage.format set form = 'older'",
    "of other columns": """
        alter table linkage.persons drop column hospcode;
        alter table linkage.persons drop column pid;
        alter table linkage.edges drop column person_l;
        drop table linkage.frequencies;
        drop table linkage.format;
    """,
    "without persons": "drop table linkage.persons; drop table linkage.format",
}


@pytest.mark.parametrize("older", OLDER)
def test_an_index_of_an_earlier_version_is_made_anew_and_persons_keep_their_names(
    vault: duckdb.DuckDBPyConnection, model: Model, older: str
) -> None:
    add(vault, record(hospcode="10005"), record(hospcode="10004", pid="8", given="มณี", surname="อื่น", sex="2"))
    assert not link(vault, model).is_anew
    add(vault, record(hospcode="10001", delivery_id="d2"))
    link(vault, model)
    before = found(vault, model)
    assert before["10001", "1"] == ("person:10005:1", "B"), "the first record names the person"

    vault.execute(OLDER[older])
    add(vault, record(hospcode="10003", delivery_id="d3"), numbered(NUMBER, hospcode="10002", delivery_id="d3"))
    done = link(vault, model)
    assert done.is_anew
    assert done.n_new == 5
    after = found(vault, model)
    if older == "without persons":
        assert after["10005", "1"] == after["10001", "1"]
    else:
        assert {pair: after[pair] for pair in before} == before
        assert after["10003", "1"] == before["10005", "1"]
    assert not link(vault, model).is_anew


def test_who_was_forgotten_before_an_index_is_made_anew_is_not_named_again(
    vault: duckdb.DuckDBPyConnection, model: Model
) -> None:
    add(vault, record(hospcode="10005"), record(hospcode="10001"))
    link(vault, model)
    vault.execute("drop table linkage.format")
    forget(vault, "select '10005' as hospcode, '1' as pid")
    vault.execute("delete from records where hospcode = '10005'")
    link(vault, model)
    assert set(found(vault, model)) == {("10001", "1")}
