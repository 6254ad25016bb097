"""A whole country through the whole flow, against the truth that its generator wrote."""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner, Result

from ruam.cli import app
from ruam.home import DataHome
from ruam.settings import PROJECT
from tests.security.canaries import everything_in, found_in

COUNTRIES = {
    "small": ("--facilities", "40", "--months", "3", "--seed", "7", "--scale", "0.1"),
    "demo": ("--facilities", "300", "--months", "12", "--seed", "1", "--scale", "1"),
}
"""`make proof` runs these tests over the demo country."""


def ruam(home: Path, *arguments: str | Path) -> Result:
    """Run one command as a user would; fails with what it printed."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"RUAM_HOME": str(home)})
    assert result.exit_code == 0, f"ruam {arguments}: {result.output} {result.exception!r}"
    return result


@dataclass(frozen=True)
class Country:
    """The invented country, its truth, and a home in which it was run."""

    folder: Path
    home: DataHome

    def truth(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "truth" / f"{name}.parquet")

    @property
    def totals(self) -> dict[str, int]:
        totals: dict[str, int] = json.loads((self.folder / "truth" / "truth.json").read_text(encoding="utf-8"))
        return totals

    def query(self, sql: str) -> pl.DataFrame:
        with duckdb.connect(str(self.home.warehouse), read_only=True) as connection:
            return connection.execute(sql).pl()

    def receipts(self, table: str) -> pl.DataFrame:
        with duckdb.connect() as connection:
            return connection.execute(
                f"select * from read_parquet('{self.home.landing}/region=*/batch=2*/{table}.parquet')"
            ).pl()

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of deliveries with the `file_name` under which each was taken in."""
        names = self.receipts("receipts").filter(pl.col("outcome").str.starts_with("accepted"))
        return rows.join(names.select("delivery_id", "file_name"), on="delivery_id")


def prepared_home(home: Path, country: Path) -> Path:
    ruam(home, "init")
    ruam(home, "reference", "load", "registry", country / "registry.csv")
    ruam(home, "reference", "load", "drugs", country / "drugs.csv")
    return home


@pytest.fixture(scope="session")
def country(parsed_project: None, tmp_path_factory: pytest.TempPathFactory) -> Country:
    root = tmp_path_factory.mktemp("end_to_end")
    folder, home = root / "country", root / "home"
    ruam(home, "synth", folder, *COUNTRIES[os.environ.get("RUAM_TEST_COUNTRY", "small")])
    prepared_home(home, folder)
    ruam(home, "run", folder / "deliveries")
    return Country(folder, DataHome(home))


def assert_same(found: pl.DataFrame, expected: pl.DataFrame, keys: list[str]) -> None:
    """Equal, row for row, whatever the order and the width of the integers."""
    integers = {pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int128}
    frames = [
        frame.with_columns(pl.col(name).cast(pl.Int64) for name, kind in frame.schema.items() if kind in integers)
        for frame in (found.select(expected.columns), expected)
    ]
    assert_frame_equal(frames[0], frames[1], check_row_order=False)
    assert expected.select(keys).is_unique().all()


def test_each_delivery_has_the_outcome_it_deserves(country: Country) -> None:
    expected = country.truth("deliveries").select("file_name", "outcome")
    found = country.receipts("receipts").select("file_name", "outcome")
    # Two zips of the same bytes: which name is the duplicate depends on which came first.
    repeated = country.truth("deliveries").filter(pl.col("repeats") != "")["repeats"].implode()
    ordinary = ~pl.col("file_name").is_in(repeated) & (pl.col("outcome") != "duplicate")
    assert_same(
        found.join(expected.filter(ordinary), on="file_name", how="semi"), expected.filter(ordinary), ["file_name"]
    )
    assert sorted(found["outcome"]) == sorted(expected["outcome"])


@pytest.mark.slow
def test_nothing_in_the_home_tells_who_people_are(country: Country) -> None:
    """Some of the country's people, by their own deliveries: not in the landing, the warehouse, the serving file, dbt's
    target, the logs; nor in the inbox and the vault, which are encrypted."""
    zipped = sorted((country.folder / "deliveries").rglob("*.zip"))[:40]
    words = people_of(zipped, 3)
    assert len(words) == 6
    assert country.home.vault.joinpath("vault.duckdb").exists()
    assert not found_in(everything_in(country.home.root), words)


def people_of(deliveries: list[Path], n: int) -> dict[str, str]:
    """Number and surname of the first person in each of so many zips that have a header and are in UTF-8."""
    words: dict[str, str] = {}
    for path in deliveries:
        if len(words) == 2 * n:
            break
        with suppress(zipfile.BadZipFile, UnicodeDecodeError), zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if "PERSON" in name.upper()), None)
            header, *rows = archive.read(name).decode("utf-8").splitlines() if name else [""]
            told = dict(zip(header.split("|"), rows[0].split("|"), strict=False)) if rows else {}
            if told.get("CID") and told.get("LNAME"):
                words |= {f"{column} of {path.name}": told[column] for column in ("CID", "LNAME")}
    return words


def test_rows_balance_and_every_planted_row_is_rejected(country: Country) -> None:
    files = country.receipts("receipt_files")
    assert files.filter(pl.col("n_rows") != pl.col("n_landed") + pl.col("n_rejected")).is_empty()
    assert files["n_rows"].sum() == country.totals["n_rows"]
    rejects = country.receipts("rejects")
    assert rejects.height == country.totals["n_rejected_rows"]
    # A line break within a cell makes two lines of it, each with too few columns.
    rule = pl.col("class").replace("embedded_newline", "wrong_columns").alias("rule")
    keys = ["file_name", "hospcode", "file", "rule"]
    expected = country.truth("rejects").group_by("file_name", "hospcode", "file", rule).agg(pl.col("n").sum())
    assert_same(country.named(rejects).group_by(keys).agg(pl.len().alias("n")), expected, keys)


WARNINGS = {
    ("SERVICE", "not_numeric"): ("not_numeric", "PRICE"),
    ("SERVICE", "sbp_not_numeric"): ("not_numeric", "SBP"),
    ("SERVICE", "missing_required"): ("missing_required", "TYPEIN"),
    ("SERVICE", "unknown_typein"): ("unknown_code", "TYPEIN"),
    ("SERVICE", "unknown_instype"): ("unknown_code", "INSTYPE"),
    ("SERVICE", "main_not_in_registry"): ("unknown_facility", "MAIN"),
    ("PERSON", "bad_cid"): ("bad_check_digit", "CID"),
    ("PERSON", "dummy_cid"): ("dummy", "CID"),
    ("PERSON", "generated_cid"): ("generated", "CID"),
    ("PERSON", "be_year"): ("be_year", "BIRTH"),
    ("PERSON", "invalid_birth"): ("invalid_date", "BIRTH"),
    ("PERSON", "mojibake"): ("mojibake", "NAME"),
    ("PERSON", "over_long"): ("too_long", "NAME"),
    ("APPOINTMENT", "be_year"): ("be_year", "APDATE"),
    ("APPOINTMENT", "zero_date"): ("zero_date", "APDATE"),
    ("CARD", "zero_date"): ("zero_date", "EXPIREDATE"),
}
"""By file and class of damage, the rule and the column that tell of it; the row is kept."""


def test_each_planted_warning_is_found_by_its_rule_and_nothing_else_is(country: Country) -> None:
    classes = pl.DataFrame(
        [(*planted, *told) for planted, told in WARNINGS.items()],
        schema=["file", "class", "rule", "column_name"],
        orient="row",
    )
    keys = ["file_name", "file", "rule", "column_name"]
    expected = country.truth("flags").join(classes, on=["file", "class"]).group_by(keys).agg(pl.col("n").sum())
    assert expected.select("file", "rule", "column_name").n_unique() == len(WARNINGS)
    told = country.named(country.receipts("receipt_rules")).filter(level="warning")
    found = told.join(classes, on=["file", "rule", "column_name"], how="semi")
    assert_same(found.group_by(keys).agg(pl.col("n_rows").sum().alias("n")), expected, keys)


def test_a_score_takes_off_what_was_planted_in_the_newest_reading(country: Country) -> None:
    keys = ["file_name", "hospcode", "file"]
    readings = country.named(country.query("select delivery_id, hospcode, file, n_set_aside from fct_readings"))
    planted = country.truth("rejects").group_by(keys).agg(pl.col("n").sum())
    expected = planted.join(readings, on=keys, how="semi")
    assert expected.height
    found = readings.filter(pl.col("n_set_aside") > 0).select(*keys, n="n_set_aside")
    assert_same(found, expected, keys)


def test_visits_equal_the_truth(country: Country) -> None:
    expected = country.truth("visits").select(
        *("hospcode", "pid", "seq", "date_serv", "visit_class", "treatment_province", "home_province"),
        *("policy_eligible", "anywhere", "principal_dx"),
    )
    found = country.query("""
        select hospcode, pid, seq, date_serv, visit_class, treatment_province_code as treatment_province,
            home_province_code as home_province, is_policy_eligible as policy_eligible, is_anywhere_uc as anywhere,
            principal_diagnosis as principal_dx
        from fct_visits
    """)
    assert_same(found, expected, ["hospcode", "seq", "date_serv"])


def test_persons_have_their_tier(country: Country) -> None:
    """A is who has a usable number; of the others, B is whom the vault has linked."""
    expected = country.truth("persons").select("hospcode", "pid", tier=pl.col("tier") == "A")
    found = country.query("select hospcode, pid, person_tier = 'A' as tier from bridge_person_registrations")
    assert_same(found.join(expected, on=["hospcode", "pid"], how="semi"), expected, ["hospcode", "pid"])
    linked = country.query("""
        select person_key, hospcode, pid from bridge_person_registrations where person_tier = 'A'
    """).join(country.truth("persons"), on=["hospcode", "pid"])
    assert linked.group_by("person_key").agg(pl.col("numbered_id").n_unique())["numbered_id"].max() == 1
    assert linked.group_by("numbered_id").agg(pl.col("person_key").n_unique())["person_key"].max() == 1


def test_people_without_a_number_are_linked_to_whom_they_are(country: Country) -> None:
    """Each registration of tier B beside the others of its person; the targets themselves are `tests/linkage`'s."""
    keys = country.query("select hospcode, pid, person_key, person_tier from bridge_person_registrations")
    people = keys.join(country.truth("persons").select("hospcode", "pid", "person_id"), on=["hospcode", "pid"])
    linked = people.filter(person_tier="B")
    pairs = linked.join(people, on="person_key").filter(
        (pl.col("hospcode") != pl.col("hospcode_right")) | (pl.col("pid") != pl.col("pid_right"))
    )
    assert pairs.height >= linked.height > 0
    assert (pairs["person_id"] == pairs["person_id_right"]).mean() >= 0.98
    unnumbered = people.filter(pl.col("person_tier") != "A")
    could = unnumbered.filter(
        pl.col("person_id").is_in(people.filter(pl.len().over("person_id") > 1)["person_id"].implode())
    )
    assert (could["person_tier"] == "B").mean() >= 0.85


UTILIZATION = """
    select period_start as month, area_code as province, {columns}
    from agg_utilization
    where period_type = 'month' and area_level = 'province' and dimension = 'all'
"""


def test_utilization_equals_the_truth(country: Country) -> None:
    expected = country.truth("agg_utilization").select(
        *("month", "province", "n_visits", "n_home_known", "n_cross_province", "n_cross_region"),
        *("n_anywhere", "n_policy_eligible"),
    )
    columns = "n_visits, " + ", ".join(
        f"n_{name}_visits as n_{name}"
        for name in ("home_known", "cross_province", "cross_region", "anywhere", "policy_eligible")
    )
    found = country.query(UTILIZATION.format(columns=columns) + " and n_visits > 0")
    assert_same(found, expected, ["month", "province"])


def test_visits_by_disease_and_office_hours_equal_the_truth(country: Country) -> None:
    groups = pl.read_csv(PROJECT / "seeds" / "terminology" / "condition_groups.csv").sort("sort_order")
    code, named = pl.col("principal_dx"), zip(groups["pattern"], groups["condition_group"], strict=True)
    group = pl.coalesce(
        *(pl.when(code.str.contains(pattern)).then(pl.lit(name)) for pattern, name in named),
        pl.when(code.is_not_null()).then(pl.lit("other")),
        pl.lit("unknown"),
    )
    hours = pl.col("intime").replace_strict({"1": "in_hours", "2": "out_of_hours"}, default="unknown")
    visits = country.truth("visits").rename({"treatment_province": "province"})
    for dimension, member in {"condition_group": group, "office_hours": hours}.items():
        expected = visits.group_by("month", "province", member.alias("member")).agg(n_visits=pl.len().cast(pl.Int64))
        found = country.query(f"""
            select period_start as month, area_code as province, dimension_value as member, n_visits
            from agg_utilization
            where period_type = 'month' and area_level = 'province' and dimension = '{dimension}' and n_visits > 0
        """)
        assert_same(found, expected, ["month", "province", "member"])
        assert expected["member"].n_unique() > 1


def test_admissions_and_bed_days_equal_the_truth(country: Country) -> None:
    expected = country.truth("agg_admissions").select("month", "province", "n_admissions", "n_bed_days")
    found = country.query(UTILIZATION.format(columns="n_admissions, n_bed_days") + " and n_admissions > 0")
    assert_same(found, expected, ["month", "province"])


def test_flow_equals_the_truth(country: Country) -> None:
    expected = country.truth("agg_flow")
    found = country.query("""
        select period_start as month, home_code as home_province, treatment_code as treatment_province, n_visits
        from agg_patient_flow where period_type = 'month' and home_level = 'province'
    """)
    assert_same(found, expected, ["month", "home_province", "treatment_province"])


def test_measures_equal_the_truth(country: Country) -> None:
    expected = country.truth("measures").select("measure_id", "treatment_province", "month", "numerator", "denominator")
    found = country.query("""
        select measure_id, area_code as treatment_province, period_start as month, numerator, denominator
        from agg_measure_results
        where period_type = 'month' and area_level = 'province' and variant = 'main'
            and measure_id in ('RED-01', 'RED-02') and dimension_set = 'all' and denominator > 0
    """)
    assert_same(found, expected, ["measure_id", "treatment_province", "month"])
    assert expected.group_by("measure_id").agg(pl.col("numerator").sum())["numerator"].min() > 0


def test_pictures_seldom_needed_equal_the_truth(country: Country) -> None:
    """UNR-10 and UNR-11, visit by visit: of people of whom no registration was linked, since the truth links nobody."""
    unlinked = """
        select hospcode, pid from bridge_person_registrations
        where person_key not in (select person_key from bridge_person_registrations where person_tier = 'B')
            and person_tier = 'A'
    """
    expected = country.truth("imaging").join(country.query(unlinked), on=["hospcode", "pid"], how="semi")
    found = country.query(f"""
        select events.measure_id, visits.hospcode, visits.pid, visits.date_serv, visits.visit_class,
            events.is_numerator as flagged
        from (from msr_unr_10 union all from msr_unr_11) as events
        inner join fct_visits as visits on events.event_key = visits.visit_key
        where (visits.hospcode, visits.pid) in ({unlinked})
    """)
    assert_same(found, expected, ["measure_id", "hospcode", "pid", "date_serv", "visit_class"])
    shares = expected.group_by("measure_id").agg(pl.col("flagged").mean())["flagged"]
    assert len(shares) == 2
    assert shares.is_between(0, 1, closed="none").all()


def test_running_again_changes_nothing(country: Country) -> None:
    before = sorted(str(path) for path in country.home.root.rglob("*") if path.is_file() and "logs" not in path.parts)
    again = ruam(country.home.root, "run", country.folder / "deliveries")
    assert "Nothing is new" in again.output
    assert "Published already" in again.output
    after = sorted(str(path) for path in country.home.root.rglob("*") if path.is_file() and "logs" not in path.parts)
    assert after == before


COMPARED = {
    "fct_visits": ("person_key", "person_number", "person_tier"),
    "fct_diagnoses": (),
    "fct_admissions": ("person_key", "person_tier", "episode_key", "stay_number"),
    "fct_dispensings": ("person_key", "person_tier", "wide_person_key"),
    "fct_procedures": ("person_key", "person_tier", "wide_person_key"),
    "fct_charges": ("person_key", "person_tier", "wide_person_key"),
    "fct_lab_results": ("person_key", "person_tier", "wide_person_key"),
    "agg_utilization": ("n_persons", "n_registered_persons"),
}
"""Tables, and what of them rests on links too: the vault names a person by the record that it saw first."""
NUMBERED = "select hospcode, pid, person_key from bridge_person_registrations where person_tier = 'A' order by all"


def with_keys_of(other: DataHome, home: Path) -> None:
    for name in ("linkage.key", "analysis.key"):
        (home / "keys" / name).unlink()
        (home / "keys" / name).write_bytes((other.keys / name).read_bytes())
        (home / "keys" / name).chmod(0o400)


@pytest.mark.slow
@pytest.mark.parametrize(("copies_first", "read"), [(False, "new batches"), (True, "everything")])
def test_any_order_of_arrival_gives_the_same_warehouse(
    country: Country, tmp_path: Path, copies_first: bool, read: str
) -> None:
    """The newest half of the deliveries first, built, then the rest with some of the first again.

    A copy under a later name that comes before its original makes the second build read everything.
    """
    zips = sorted((country.folder / "deliveries").glob("*.zip"), key=lambda path: path.name[-18:], reverse=True)
    half = len(zips) // 2
    duplicates = country.truth("deliveries").filter(pl.col("outcome") == "duplicate")
    copies, originals = set(duplicates["file_name"]), set(duplicates["repeats"])
    early = [path for path in zips if path.name in copies] if copies_first else []
    waiting = originals if copies_first else copies
    first = sorted({*early, *(path for path in zips[:half] if path.name not in waiting)})
    then = [path for path in zips if path not in first] + first[: half // 4]
    home = prepared_home(tmp_path / "home", country.folder)
    with_keys_of(country.home, home)
    ruam(home, "run", *first)
    assert read in ruam(home, "run", *then).output
    other = Country(country.folder, DataHome(home))
    for table, linked in COMPARED.items():
        sql = f"select columns(c -> not list_contains({list(linked)}, c)) from {table} order by all"
        assert_frame_equal(country.query(sql), other.query(sql), check_exact=True)
    assert_frame_equal(country.query(NUMBERED), other.query(NUMBERED))


def test_what_is_published_is_controlled(country: Country) -> None:
    pointer = json.loads((country.home.serving / "current.json").read_text(encoding="utf-8"))
    with duckdb.connect(str(country.home.serving / pointer["file"]), read_only=True) as connection:
        tables = connection.execute("""
            select table_name, column_name from information_schema.columns
            where table_schema = 'main' and ends_with(column_name, '_status')
        """).fetchall()
        marts = {
            "agg_cid_classes",
            "agg_facility_activity",
            "agg_utilization",
            "agg_patient_flow",
            "agg_measure_results",
            "agg_unknown_codes",
            "agg_measure_weaknesses",
            "agg_rule_results",
            "agg_scorecards",
            "agg_finding_changes",
        }
        assert {table for table, _ in tables} == marts
        for table, status in tables:
            count = status.removesuffix("_status")
            wrong = connection.execute(
                f"select count(*) from {table} where {count} between 1 and 9 or {count} % 5 <> 0"
            ).fetchone()
            assert wrong == (0,), f"{table}.{count}"
        places = connection.execute("select column_name, table_name from information_schema.columns").fetchall()
        assert not {column for column, _ in places} & {"person_key", "pid", "cid_pseudonym"}
        # What a facility has sent counts reports, and nobody's visits.
        assert {table for column, table in places if column == "hospcode"} == {"agg_facility_reports"}
