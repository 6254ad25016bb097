"""The invented country: its zips are read again here, by plain Python that knows nothing of how they were made."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from ingestion.contract import load_contracts
from ingestion.synthetic import Summary, generate
from ingestion.synthetic.catalogue import load_catalogue
from ingestion.synthetic.facilities import allocate
from ingestion.synthetic.geography import NATIONAL_POPULATION, load_provinces
from ingestion.synthetic.people import check_digits, numbers_of
from ingestion.synthetic.standard import FILES, columns_of
from ingestion.synthetic.truth import told_apart
from ingestion.synthetic.workups import LOCAL_CODES, OTHER_CODES, PICTURES, VARIETIES, with_varieties
from ruam.settings import PROJECT

DUMMIES = {"1111111111119", "9999999999994", "1234567890121"}
Row = dict[str, str]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("country")
    return out, generate(out, facilities=30, months=3, scale=0.03, seed=7)


def truth(out: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(out / "truth" / f"{name}.parquet")


@dataclass
class Reader:
    """What a careful reader makes of the zips: rows that stand, by file, and why others were set aside."""

    registry: dict[str, Row]
    rows: dict[str, dict[tuple[str, ...], tuple[tuple[str, str], Row]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    n_rows: Counter[str] = field(default_factory=Counter)
    rejects: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    outcomes: dict[str, str] = field(default_factory=dict)

    KEYS: ClassVar[dict[str, tuple[str, ...]]] = {
        "SERVICE": ("HOSPCODE", "SEQ", "DATE_SERV"),
        "PERSON": ("HOSPCODE", "PID"),
        "DIAGNOSIS_OPD": ("HOSPCODE", "SEQ", "DATE_SERV", "DIAGCODE"),
        "DIAGNOSIS_IPD": ("HOSPCODE", "AN", "DIAGCODE"),
        "ACCIDENT": ("HOSPCODE", "SEQ"),
        "ADMISSION": ("HOSPCODE", "AN"),
        "LABFU": ("HOSPCODE", "PID", "DATE_SERV", "LABTEST"),
        "PROCEDURE_OPD": ("HOSPCODE", "SEQ", "DATE_SERV", "PROCEDCODE"),
        "DRUG_IPD": ("HOSPCODE", "AN", "TYPEDRUG", "DIDSTD"),
    }

    def read(self, path: Path) -> None:
        code, sent = path.stem.split("_")[1:]
        if code not in self.registry or not zipfile.is_zipfile(path):
            self.outcomes[path.name] = "rejected"
            return
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                self._member(path.name, code, sent, member, archive.read(member))
        self.outcomes.setdefault(path.name, "accepted")

    def _member(self, name: str, code: str, sent: str, member: str, data: bytes) -> None:
        stem = member.rsplit("/", 1)[-1].upper().removesuffix(".TXT").removesuffix(f"_{code}_{sent}")
        if stem not in FILES:
            assert stem == "OFFICE"
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp874")
        lines = [line.rstrip("\r") for line in text.split("\n") if line.strip("\r")]
        header = lines.pop(0).split("|") if lines[0].startswith("HOSPCODE") else columns_of(stem, "2.4.1", False, False)
        for line in lines:
            self.n_rows[name] += 1
            cells = line.split("|")
            reason = (
                "nul_byte"
                if "\0" in line
                else "wrong_columns"
                if len(cells) != len(header)
                else self._reason(stem, dict(zip(header, cells, strict=True)), code, sent)
            )
            if reason:
                self.rejects[name, stem, reason] += 1
                self.outcomes[name] = "accepted_with_rejects"
            elif stem in self.KEYS:
                row = dict(zip(header, cells, strict=True))
                key = tuple(row[column] for column in self.KEYS[stem])
                rank = (row["D_UPDATE"], sent)
                if key not in self.rows[stem] or rank >= self.rows[stem][key][0]:
                    self.rows[stem][key] = (rank, row)

    def _reason(self, file: str, row: Row, code: str, sent: str) -> str | None:
        if row["HOSPCODE"] != code:
            return "hospcode_not_sender" if row["HOSPCODE"] in self.registry else "unknown_hospcode"
        if file != "SERVICE":
            return None
        if not row["SEQ"]:
            return "missing_key"
        if int(row["DATE_SERV"][:4]) > 2400:
            return "be_year"
        try:
            day = _time(row["DATE_SERV"])
        except ValueError:
            return "invalid_date"
        return "future_date" if day > _time(sent) + timedelta(days=1) else None

    def final(self, file: str) -> Iterator[Row]:
        return (row for _, row in self.rows[file].values())


@pytest.fixture(scope="module")
def reader(country: tuple[Path, Summary]) -> Reader:
    out, _ = country
    with (out / "registry.csv").open(encoding="utf-8") as handle:
        registry = {row["hoscode"]: row for row in csv.DictReader(handle)}
    result = Reader(registry)
    # In any order: the final state must not depend on it.
    for path in sorted((out / "deliveries").iterdir(), key=lambda path: hashlib.sha256(path.name.encode()).digest()):
        result.read(path)
    return result


def usable(cid: str) -> bool:
    if len(cid) != 13 or not cid.isdigit() or cid.startswith("00") or cid in DUMMIES:
        return False
    return (11 - sum(int(digit) * (13 - i) for i, digit in enumerate(cid[:12])) % 11) % 10 == int(cid[12])


def visit_class(row: Row, accidents: set[tuple[str, str]]) -> str:
    if row["TYPEIN"] == "5":
        return "TELE"
    return "ED" if row["TYPEIN"] == "4" or (row["HOSPCODE"], row["SEQ"]) in accidents else "OP"


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> str:
        generate(tmp_path / name, facilities=13, months=1, scale=0.004, seed=seed)
        whole = hashlib.sha256()
        for path in sorted((tmp_path / name).rglob("*")):
            if path.is_file():
                whole.update(path.relative_to(tmp_path / name).as_posix().encode() + path.read_bytes())
        return whole.hexdigest()

    first = digest("a", 3)
    assert digest("b", 3) == first
    assert digest("c", 4) != first


def test_visits_of_the_truth_are_those_in_the_zips(country: tuple[Path, Summary], reader: Reader) -> None:
    out, summary = country
    told = {
        (
            v["hospcode"],
            v["pid"],
            v["seq"],
            f"{v['date_serv']:%Y%m%d}",
            v["typein"] or "",
            v["typeout"],
            v["instype"],
            v["main"] or "",
        )
        for v in truth(out, "visits").iter_rows(named=True)
    }
    names = ("HOSPCODE", "PID", "SEQ", "DATE_SERV", "TYPEIN", "TYPEOUT", "INSTYPE", "MAIN")
    found = {tuple(row[name] for name in names) for row in reader.final("SERVICE")}
    assert found == told
    assert summary.n_visits == len(found) > 8_000


def test_outcomes_rows_and_rejects_agree(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    deliveries = truth(out, "deliveries")
    told = {row["file_name"]: row["outcome"] for row in deliveries.iter_rows(named=True)}
    assert set(told) == {path.name for path in (out / "deliveries").iterdir()}
    found = {
        # A reader that remembers contents calls the second copy a duplicate.
        name: "duplicate" if told[name] == "duplicate" else outcome
        for name, outcome in reader.outcomes.items()
    }
    assert found == told
    n_rows = {row["file_name"]: row["n_rows"] for row in deliveries.iter_rows(named=True) if row["n_rows"]}
    assert n_rows == dict(reader.n_rows)
    rejects: Counter[tuple[str, str, str]] = Counter()
    for row in truth(out, "rejects").iter_rows(named=True):
        rule = "wrong_columns" if row["class"] == "embedded_newline" else row["class"]
        rejects[row["file_name"], row["file"], rule] += row["n"]
    copies = {row["file_name"] for row in deliveries.iter_rows(named=True) if row["kind"] == "resent"}
    assert rejects == Counter({key: n for key, n in reader.rejects.items() if key[0] not in copies})


def test_copies_have_the_bytes_that_they_repeat(country: tuple[Path, Summary]) -> None:
    out, _ = country
    copies = truth(out, "deliveries").filter(pl.col("kind") == "resent")
    assert len(copies) >= 1
    for row in copies.iter_rows(named=True):
        first, second = (out / "deliveries" / row[name] for name in ("repeats", "file_name"))
        assert first.read_bytes() == second.read_bytes()


def test_every_class_of_fault_occurs(country: tuple[Path, Summary]) -> None:
    out, _ = country
    assert set(truth(out, "rejects")["class"]) == {
        "wrong_columns",
        "invalid_date",
        "future_date",
        "be_year",
        "unknown_hospcode",
        "hospcode_not_sender",
        "missing_key",
        "embedded_newline",
        "nul_byte",
    }
    assert set(truth(out, "flags")["class"]) >= {
        "not_numeric",
        "missing_required",
        "unknown_typein",
        "unknown_instype",
        "sbp_not_numeric",
        "main_not_in_registry",
        "zero_date",
        "be_year",
        "invalid_birth",
        "over_long",
        "mojibake",
        "bad_cid",
        "dummy_cid",
        "generated_cid",
        "orphan",
        "exact_duplicate",
        "child_of_rejected",
    }
    assert set(truth(out, "deliveries")["kind"]) == {
        "monthly",
        "correction",
        "correction_same_time",
        "stale",
        "resent",
        "truncated",
        "not_a_zip",
        "unknown_sender",
    }


def test_tiers_follow_the_final_number(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    numbers = {(row["HOSPCODE"], row["PID"]): row["CID"] for row in reader.final("PERSON")}
    persons = truth(out, "persons")
    told = {(row["hospcode"], row["pid"]): row["tier"] for row in persons.iter_rows(named=True)}
    assert {key: "A" if usable(cid) else "C" for key, cid in numbers.items()} == told
    assert 0.9 < persons.select((pl.col("tier") == "A").mean()).item() < 0.97
    assert set(persons["kind"]) == {"thai", "foreign", "stateless", "newborn", "mistyped"}
    by_number: dict[str, set[int]] = defaultdict(set)
    for row in persons.filter(pl.col("tier") == "A").iter_rows(named=True):
        by_number[numbers[row["hospcode"], row["pid"]]].add(row["person_id"])
    assert all(len(people) == 1 for people in by_number.values())
    assert len(by_number) < persons.filter(pl.col("tier") == "A").height


def test_a_number_typed_by_mistake_is_not_its_bearers() -> None:
    """measures.md §5: tier A asks for the birth year too. A year beside is a slip, and who tells none is believed."""
    registrations = [
        ("10001", "1", 1, 5, 1980, "A", 5),
        ("10002", "1", 1, 5, 1980, "A", 5),
        ("10003", "1", 1, 5, 1981, "A", 5),
        ("10004", "1", 1, 5, None, "A", 5),
        ("10000", "1", 2, 5, 1982, "C", 10**13 + 2),
        # Told as often: that of the first facility and PID.
        ("10001", "2", 3, 6, 1990, "A", 6),
        ("10002", "2", 4, 6, 1960, "C", 10**13 + 4),
        # Two without a number are not compared.
        ("10001", "3", 7, 10**13 + 7, 1950, "C", 10**13 + 7),
        ("10002", "3", 7, 10**13 + 7, 1960, "C", 10**13 + 7),
    ]
    columns = ("hospcode", "pid", "person_id", "numbered_id", "birth_year", "tier", "who")
    made = pl.DataFrame(registrations, schema=columns, orient="row")
    found = told_apart(made.drop("tier", "who").lazy()).collect()
    assert "birth_year" not in found.columns
    assert found.select("hospcode", "pid", "tier", who="numbered_id").equals(
        made.select("hospcode", "pid", "tier", "who")
    )


def test_measures_agree_with_a_plain_count(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    accidents = {(row["HOSPCODE"], row["SEQ"]) for row in reader.final("ACCIDENT")}
    principal = {
        (row["HOSPCODE"], row["SEQ"]): row["DIAGCODE"]
        for row in reader.final("DIAGNOSIS_OPD")
        if row["DIAGTYPE"] == "1"
    }
    numbers = {(row["HOSPCODE"], row["PID"]): row["CID"] for row in reader.final("PERSON")}
    merged: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in sorted(reader.final("SERVICE"), key=lambda row: (row["TIME_SERV"], row["SEQ"])):
        merged[row["HOSPCODE"], row["PID"], row["DATE_SERV"], visit_class(row, accidents)].append(row)
    assert truth(out, "visits").select("hospcode", "pid", "date_serv", "visit_class").n_unique() == len(merged)
    not_eligible = (
        "Z23",
        "Z24",
        "Z25",
        "Z26",
        "Z27",
        "Z34",
        "Z35",
        "Z36",
        "Z39",
        "Z47",
        "Z48",
        "Z49",
        "Z50",
        "Z51",
        "A15",
        "A16",
        "A17",
        "A18",
        "A19",
        "F10",
        "F11",
        "F12",
        "F13",
        "F14",
        "F15",
        "F16",
        "F17",
        "F18",
        "F19",
    )
    people: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    denominator = 0
    for (hospcode, pid, day, of_class), rows in merged.items():
        first = rows[0]
        codes = [principal[hospcode, row["SEQ"]] for row in rows if (hospcode, row["SEQ"]) in principal]
        category = codes[0][:3] if codes else ""
        if of_class == "ED" or first["TYPEIN"] not in ("1", "5") or first["TYPEOUT"] in ("2", "4", "5", "6"):
            continue
        if category in not_eligible:
            continue
        denominator += 1
        cid = numbers.get((hospcode, pid), "")
        if usable(cid) and category:
            people[cid].append((day, first["TIME_SERV"], hospcode, first["SEQ"], category, first["TYPEOUT"]))
    numerator: Counter[str] = Counter()
    for visits in people.values():
        visits.sort()
        for n, later in enumerate(visits):
            before = [v for v in visits[:n] if v[2] != later[2] and v[4] == later[4]]
            gaps = [(_day(later[0]) - _day(v[0])).days for v in before]
            numerator["RED-01"] += any(gap == 0 and v[5] != "3" for v, gap in zip(before, gaps, strict=True))
            numerator["RED-02"] += any(1 <= gap <= 7 and v[5] in "178" for v, gap in zip(before, gaps, strict=True))
    told = (
        truth(out, "measures").group_by("measure_id").agg(pl.col("numerator", "denominator").sum()).sort("measure_id")
    )
    assert told.rows() == [
        ("RED-01", numerator["RED-01"], denominator),
        ("RED-02", numerator["RED-02"], denominator),
    ]
    assert 0.002 < numerator["RED-01"] / denominator < 0.012
    assert 0.015 < numerator["RED-02"] / denominator < 0.06


def test_pictures_seldom_needed_agree_with_a_plain_count(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    numbers = {(row["HOSPCODE"], row["PID"]): row["CID"] for row in reader.final("PERSON")}
    accidents = {(row["HOSPCODE"], row["SEQ"]) for row in reader.final("ACCIDENT")}
    codes: dict[str, list[tuple[date, str]]] = defaultdict(list)
    for file, day in (("DIAGNOSIS_OPD", "DATE_SERV"), ("DIAGNOSIS_IPD", "DATETIME_ADMIT")):
        for row in reader.final(file):
            codes[numbers.get((row["HOSPCODE"], row["PID"]), "")].append((_day(row[day][:8]), row["DIAGCODE"]))
    pictures: dict[str, set[date]] = defaultdict(set)
    for row in reader.final("PROCEDURE_OPD"):
        # The country has one MRI of the head, of strokes, which are a reason for it.
        if row["PROCEDCODE"] == "8703":
            pictures[numbers.get((row["HOSPCODE"], row["PID"]), "")].add(_day(row["DATE_SERV"]))
    principal = {
        (row["HOSPCODE"], row["SEQ"]): row["DIAGCODE"]
        for row in reader.final("DIAGNOSIS_OPD")
        if row["DIAGTYPE"] == "1"
    }
    merged: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in sorted(reader.final("SERVICE"), key=lambda row: (row["TIME_SERV"], row["SEQ"])):
        visit = row["HOSPCODE"], row["PID"], row["DATE_SERV"], visit_class(row, accidents)
        merged[visit] += [principal[row["HOSPCODE"], row["SEQ"]]] if (row["HOSPCODE"], row["SEQ"]) in principal else []
    last = max(_day(day) for _, _, day, _ in merged)
    # What the conditions of the country hold of each list of reasons.
    reasons = {"UNR-10": ("I63", "S00", "S06"), "UNR-11": ("S00", "S06")}
    found = set()
    for (hospcode, pid, day, of_class), principals in merged.items():
        measure = {"R55": "UNR-10", "J01": "UNR-11"}.get(principals[0][:3] if principals else "")
        cid, on = numbers.get((hospcode, pid), ""), _day(day)
        if not measure or of_class == "TELE" or not usable(cid) or on + timedelta(days=14) > last:
            continue
        ago = [((on - coded).days, code[:3]) for coded, code in codes[cid]]
        if any(0 <= days <= 365 and code in reasons[measure] for days, code in ago):
            continue
        if measure == "UNR-11" and any(30 <= days <= 365 and code == "J01" for days, code in ago):
            continue
        pictured = any(0 <= (taken - on).days <= 14 for taken in pictures[cid])
        found.add((measure, hospcode, pid, on, of_class, pictured))
    assert set(truth(out, "imaging").iter_rows()) == found
    assert {(measure, pictured) for measure, *_, pictured in found} == {
        (measure, pictured) for measure in reasons for pictured in (False, True)
    }


def _time(text: str) -> datetime:
    return datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - senders write local time


def _day(text: str) -> date:
    return _time(text).date()


def test_utilization_agrees_with_a_plain_count(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    urgent = {(row["HOSPCODE"], row["SEQ"]): row["URGENCY"] for row in reader.final("ACCIDENT")}
    live = {row["code"]: row["live_day"] for row in load_provinces(date(2024, 4, 1)).iter_rows(named=True)}
    counts: Counter[str] = Counter()
    for row in reader.final("SERVICE"):
        here, home = reader.registry[row["HOSPCODE"]], reader.registry.get(row["MAIN"])
        counts["n_visits"] += 1
        counts[f"n_{visit_class(row, set(urgent)).lower()}"] += 1
        counts[{"1": "n_in_hours", "2": "n_out_of_hours"}[row["INTIME"]]] += 1
        if home is None:
            continue
        counts["n_home_known"] += 1
        counts["n_cross_province"] += here["provcode"] != home["provcode"]
        counts["n_cross_region"] += here["zone_code"] != home["zone_code"]
        day = (_day(row["DATE_SERV"]) - date(2024, 4, 1)).days
        counts["n_policy_eligible"] += max(live[here["provcode"]], live[home["provcode"]]) <= day
        own = row["HOSPCODE"] in (row["MAIN"], row.get("HSUB"))
        emergency = row["TYPEIN"] in ("3", "4") or urgent.get((row["HOSPCODE"], row["SEQ"])) in ("1", "2")
        counts["n_anywhere"] += row["INSTYPE"] == "0100" and not own and not emergency
    told = truth(out, "agg_utilization").select(pl.col("^n_.*$").sum()).row(0, named=True)
    assert told == dict(counts)
    flow = truth(out, "agg_flow")
    assert flow["n_visits"].sum() == counts["n_visits"]
    away = flow.filter((pl.col("home_province") != "99") & (pl.col("home_province") != pl.col("treatment_province")))
    assert away["n_visits"].sum() == counts["n_cross_province"]


def test_admissions_agree_with_a_plain_count(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    days = [
        max(1, (_day(row["DATETIME_DISCH"][:8]) - _day(row["DATETIME_ADMIT"][:8])).days)
        for row in reader.final("ADMISSION")
    ]
    told = truth(out, "agg_admissions").select(pl.col("^n_.*$").sum()).row(0)
    assert told == (len(days), sum(days))


def repeats(rows: Iterator[Row], code: str, wanted: set[str], within: int) -> int:
    """How many rows of the codes follow another of the same person and code by 1 to `within` days."""
    days: dict[tuple[str, str, str], list[date]] = defaultdict(list)
    for row in rows:
        if row[code] in wanted:
            days[row["HOSPCODE"], row["PID"], row[code]].append(_day(row["DATE_SERV"]))
    return sum(
        1 <= (later - earlier).days <= within for found in days.values() for earlier, later in pairwise(sorted(found))
    )


def test_tests_and_pictures_are_sometimes_repeated_too_soon(reader: Reader) -> None:
    # HbA1c within 60 days, and any picture within 90.
    assert repeats(reader.final("LABFU"), "LABTEST", {"0531601"}, 60) > 0
    pictures = {procedure for _, procedure, *_ in PICTURES}
    assert repeats(reader.final("PROCEDURE_OPD"), "PROCEDCODE", pictures, 90) > 0


def test_laboratory_tests_are_known_but_for_local_ones_and_some_results_are_words(reader: Reader) -> None:
    with (PROJECT / "seeds" / "terminology" / "lab_tests.csv").open(encoding="utf-8", newline="") as handle:
        known = {row["lab_code"] for row in csv.DictReader(handle)}
    rows = list(reader.final("LABFU"))
    assert {row["LABTEST"] for row in rows} - known == set(LOCAL_CODES.values())
    assert {row["LABTEST"] for row in rows} >= set(OTHER_CODES.values())
    words = [row["LABRESULT"] for row in rows if not row["LABRESULT"].replace(".", "", 1).isdecimal()]
    assert 0 < len(words) < len(rows) * 0.02
    assert 0 < sum(not row["SEQ"] for row in rows) < len(rows) * 0.15


def test_drugs_are_taken_home_on_the_day_of_discharge(reader: Reader) -> None:
    stays = {(row["HOSPCODE"], row["AN"]): row for row in reader.final("ADMISSION")}
    taken = [row for row in reader.final("DRUG_IPD") if row["TYPEDRUG"] == "2"]
    assert taken
    for row in taken:
        assert stays[row["HOSPCODE"], row["AN"]]["DATETIME_DISCH"].startswith(row["DATESTART"])


def test_all_regions_are_there_and_region_13_sends_little(country: tuple[Path, Summary], reader: Reader) -> None:
    out, _ = country
    assert {row["zone_code"] for row in reader.registry.values()} == {f"{n:02d}" for n in range(1, 14)}
    by_region = truth(out, "visits").group_by("treatment_region").len()
    share = dict(by_region.iter_rows())
    assert len(share) == 13
    assert share["13"] / sum(share.values()) < 0.04  # of 8 % of the people


def test_registry_has_the_ministrys_form(reader: Reader) -> None:
    rows = list(reader.registry.values())
    assert list(rows[0]) == [
        "hoscode",
        "hosname",
        "hostype",
        "provcode",
        "distcode",
        "subdistcode",
        "hoscodenew",
        "bed",
        "mcode",
        "zone_code",
        "status",
        "register_date",
        "close_date",
    ]
    assert all(row["hoscodenew"][2:] == row["hoscode"].zfill(7) for row in rows)
    assert any(int(row["register_date"][:4]) > 2400 for row in rows)
    assert any(row["hosname"].startswith(" ") for row in rows)
    assert sum(row["status"] == "0" for row in rows) == 2


def test_every_drug_of_the_map_has_a_substance_and_local_ones_stay_out(country: tuple[Path, Summary]) -> None:
    out, _ = country
    drugs = pl.read_csv(out / "drugs.csv", schema_overrides={"didstd": pl.String})
    assert drugs["didstd"].str.len_chars().unique().to_list() == [24]
    assert drugs["didstd"].is_unique().all()
    assert drugs["units_per_day"].is_null().sum() == drugs["atc"].is_null().sum() == 0
    assert load_catalogue().drugs["atc"].null_count() == 2


def test_check_digits() -> None:
    digits = np.array([[int(digit) for digit in "110170020345"], [0] * 12])
    # (11 - sum mod 11) mod 10, by hand: 13+12+0+10+63+0+0+12+0+12+12+10 = 144, 144 mod 11 = 1, so 0; and 11 mod 10 = 1.
    assert check_digits(digits).tolist() == [0, 1]
    n = 1000
    ones = np.ones(n, dtype=np.int64)
    numbers = numbers_of(ones, 50 * ones, 66 * ones, np.arange(n) * 7_654_321 % 10**7)
    assert all(usable(cid) for cid in numbers)
    assert numbers.n_unique() == n


@pytest.mark.parametrize("n", [13, 26, 77, 300, 1000])
def test_facilities_are_allocated_by_population(n: int) -> None:
    provinces = load_provinces(date(2024, 4, 1))
    counts = allocate(provinces, n)
    assert counts.sum() == n
    frame = provinces.with_columns(pl.Series("n", counts))
    assert (frame.group_by("region").agg(pl.col("n").sum())["n"] >= 1).all()
    if n >= 77:
        assert counts.min() >= 1
    assert abs(provinces["population"].sum() - NATIONAL_POPULATION) < 100


def test_too_few_facilities_and_odd_periods_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="13 health regions"):
        generate(tmp_path, facilities=12, months=1, scale=0.001)
    with pytest.raises(ValueError, match="first of a month"):
        generate(tmp_path, facilities=13, months=1, scale=0.001, start=date(2024, 4, 2))
    with pytest.raises(ValueError, match="months"):
        generate(tmp_path, facilities=13, months=0, scale=0.001)


def test_old_forms_have_fewer_columns_and_keep_their_order() -> None:
    assert len(columns_of("SERVICE", "2.4.1", shuffled=False, extra=False)) == 36
    assert len(columns_of("SERVICE", "2016", shuffled=False, extra=False)) == 29
    assert len(columns_of("PERSON", "2016", shuffled=False, extra=False)) == 31
    assert columns_of("ADDRESS", "2016", shuffled=False, extra=False)[-3:] == ["TELEPHONE", "MOBILE", "D_UPDATE"]
    shuffled = columns_of("SERVICE", "2.4.1", shuffled=True, extra=False)
    assert sorted(shuffled) == sorted(columns_of("SERVICE", "2.4.1", shuffled=False, extra=False))


def test_columns_are_those_of_the_contracts() -> None:
    contracts = load_contracts()
    for file in FILES:
        editions = list(contracts[file].editions.values())
        for version in ("2016", "2.4", "2.4.1"):
            assert columns_of(file, version, shuffled=False, extra=False) in editions


def test_members_open_as_the_senders_wrote_them(country: tuple[Path, Summary]) -> None:
    out, _ = country
    seen: set[str] = set()
    for row in truth(out, "deliveries").filter(pl.col("outcome") != "rejected").iter_rows(named=True):
        data = (out / "deliveries" / row["file_name"]).read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            for name in archive.namelist():
                text = archive.read(name)
                seen.add("crlf" if b"\r\n" in text else "lf")
                seen.add("bom" if text.startswith(b"\xef\xbb\xbf") else "no bom")
                seen.add("header" if b"HOSPCODE" in text[:20] else "headerless")
                seen.update({"nested"} if "/" in name else {"flat"})
                seen.update({"lower"} if name.islower() else set())
                seen.update({"office"} if name == "OFFICE.txt" else set())
                seen.update({"suffixed"} if row["hospcode"] in name.rsplit("/", 1)[-1] else set())
                try:
                    text.decode("utf-8")
                except UnicodeDecodeError:
                    assert any("ก" <= letter <= "ฮ" for letter in text.decode("cp874"))
                    seen.add("cp874")
    assert seen == {
        "crlf",
        "lf",
        "bom",
        "no bom",
        "header",
        "headerless",
        "nested",
        "flat",
        "lower",
        "office",
        "suffixed",
        "cp874",
    }


def test_a_person_has_a_variety_of_a_condition_everywhere_or_nowhere() -> None:
    """And who is in one part of a country makes no difference to another part."""
    catalogue = load_catalogue()
    codes = catalogue.conditions["code"].to_list()
    usual, variety, share = VARIETIES[0]
    conditions = [codes.index(usual)] * 4000 + [codes.index("I10")]
    visits = pl.DataFrame({"person": [*range(2000), *range(2000), 0], "cond": conditions})

    def varied(part: pl.DataFrame) -> pl.DataFrame:
        return with_varieties(part, catalogue, np.random.default_rng([1, 12]))

    whole = varied(visits)
    assert whole["person"].equals(visits["person"])
    assert set(whole["cond"]) == {codes.index(code) for code in (usual, variety, "I10")}
    kinds = whole.filter(cond=codes.index(variety)).group_by("person").len()
    assert set(kinds["len"]) == {2}
    assert 0.9 * share < len(kinds) / 2000 < 1.1 * share
    assert varied(visits.head(500)).equals(whole.head(500))


def test_a_variety_is_its_condition_but_for_the_name() -> None:
    """Or a country with varieties would have other drugs and stays."""
    conditions = load_catalogue().conditions.drop("weight", "complaint_th")
    for usual, variety, _ in VARIETIES:
        one, other = (conditions.filter(code=code).drop("code") for code in (usual, variety))
        assert one.equals(other)
