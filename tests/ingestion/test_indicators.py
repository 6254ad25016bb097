"""Values of rollout indicators that others measure: the contract, each fault by line and column, and their history."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ingestion.reference import Loaded, load, versions
from ingestion.reference_rows import load_reference_contracts
from ruam.errors import UsageError
from ruam.settings import PROJECT, Settings

HEADER = "indicator_id,series,unit,period_start,period_end,area,value,source,known_on,given_by"
GOOD = "RO-01,phr_facilities,facilities,2025-09-01,2025-09-30,TH,10628,https://example.org/1,2025-09-30,สำนักสุขภาพดิจิทัล"
DAY = date(2025, 10, 1)


def load_lines(settings: Settings, *lines: str, header: str = HEADER, as_of: date = DAY) -> Loaded:
    source = settings.data_home.root.parent / "indicators.csv"
    source.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return load(settings.data_home, "indicators", source, as_of)


def test_a_good_line_is_kept_with_its_source_date_and_giver(settings: Settings) -> None:
    loaded = load_lines(settings, GOOD)
    assert (loaded.n_rows, loaded.rejected, loaded.repaired) == (1, [], [])
    (row,) = pl.read_parquet(versions(settings.data_home, "indicators")[-1]).iter_rows(named=True)
    assert row == {
        "indicator_id": "RO-01",
        "series": "phr_facilities",
        "unit": "facilities",
        "period_start": date(2025, 9, 1),
        "period_end": date(2025, 9, 30),
        "area": "TH",
        "value": 10628.0,
        "source": "https://example.org/1",
        "known_on": date(2025, 9, 30),
        "given_by": "สำนักสุขภาพดิจิทัล",
        "version": loaded.version,
        "as_of_date": DAY,
    }


@pytest.mark.parametrize(
    ("before", "after", "column", "rule"),
    [
        ("RO-01,", "RO-16,", "indicator_id", "invalid_code"),
        ("RO-01,", ",", "indicator_id", "missing_required"),
        ("RO-01,", "RO-02,", "indicator_id", "disagrees"),
        ("phr_facilities,", "phr_hospitals,", "series", "unknown_code"),
        ("phr_facilities,", "PHR facilities,", "series", "invalid_code"),
        ("phr_facilities,", ",", "series", "missing_key"),
        (",facilities,", ",persons,", "unit", "disagrees"),
        (",facilities,", ",,", "unit", "missing_required"),
        ("2025-09-01", "01/09/2025", "period_start", "invalid_date"),
        ("2025-09-01", "", "period_start", "missing_key"),
        ("2025-09-30,TH", "2025-08-31,TH", "period_end", "too_early"),
        ("2025-09-30,TH", "0000-00-00,TH", "period_end", "zero_date"),
        (",TH,", ",R14,", "area", "unknown_area"),
        (",TH,", ",P09,", "area", "unknown_area"),
        (",TH,", ",Phrae,", "area", "invalid_code"),
        (",10628,", ",many,", "value", "not_numeric"),
        (",10628,", ",-1,", "value", "out_of_range"),
        ("https://example.org/1", "", "source", "missing_required"),
        ("2025-09-30,สำนัก", "2025-09-29,สำนัก", "known_on", "too_early"),
        ("2025-09-30,สำนัก", ",สำนัก", "known_on", "missing_required"),
        ("สำนักสุขภาพดิจิทัล", "", "given_by", "missing_required"),
        ("สำนักสุขภาพดิจิทัล", "สำนัก,อีกช่อง", "", "wrong_columns"),
    ],
)
def test_a_line_that_breaks_a_rule_is_set_aside_by_line_and_column(
    settings: Settings, before: str, after: str, column: str, rule: str
) -> None:
    assert GOOD.count(before) == 1
    loaded = load_lines(settings, GOOD, GOOD.replace("TH", "R04").replace(before.replace("TH", "R04"), after))
    assert loaded.n_rows == 1
    (one,) = loaded.receipt.rejected
    assert (one.line, one.column, one.rule) == (3, column, rule)
    (sentence,) = loaded.rejected
    assert sentence.startswith("Line 3: ")
    assert "emptied" not in sentence
    assert "kept as sent" not in sentence


def test_what_a_strict_column_refuses_is_told_as_it_was_sent(settings: Settings) -> None:
    (sentence,) = load_lines(settings, GOOD, GOOD.replace("TH,10628", "R04,หมื่นกว่า")).rejected
    assert sentence == "Line 3: value 'หมื่นกว่า': Not a number; the line was set aside. [not_numeric]"


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_file_without_a_column_is_refused_by_its_name(settings: Settings, column: str) -> None:
    names = HEADER.split(",")
    at = names.index(column)
    line = GOOD.split(",")
    with pytest.raises(UsageError, match=rf"indicators\.csv.*Column {column} is missing"):
        load_lines(settings, ",".join(line[:at] + line[at + 1 :]), header=",".join(names[:at] + names[at + 1 :]))


def test_a_file_of_nothing_but_faults_is_refused_and_names_them(settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"no usable row.*Line 2: value 'x'"):
        load_lines(settings, GOOD.replace("10628", "x"))
    assert versions(settings.data_home, "indicators") == []


def test_years_of_the_buddhist_era_and_thousands_are_understood(settings: Settings) -> None:
    line = GOOD.replace("2025-", "2568-").replace("10628", '"10,628"')
    loaded = load_lines(settings, line)
    assert loaded.rejected == []
    (row,) = pl.read_parquet(versions(settings.data_home, "indicators")[-1]).iter_rows(named=True)
    assert (row["value"], row["period_start"], row["known_on"]) == (10628.0, date(2025, 9, 1), date(2025, 9, 30))


def test_one_series_of_two_places_or_periods_is_two_values_and_the_later_line_of_one_counts(settings: Settings) -> None:
    loaded = load_lines(
        settings, GOOD, GOOD.replace("TH", "R04"), GOOD.replace("-09-01", "-08-01"), GOOD.replace("10628", "10700")
    )
    assert loaded.n_rows == 3
    assert [finding.rule for finding in loaded.receipt.findings] == ["duplicate_key"]
    frame = pl.read_parquet(versions(settings.data_home, "indicators")[-1])
    assert 10700.0 in frame["value"]
    assert frame["value"].to_list().count(10628.0) == 2


def test_every_file_is_kept_and_an_empty_value_may_withdraw_one(settings: Settings) -> None:
    first = load_lines(settings, GOOD)
    again = load_lines(settings, GOOD)
    withdrawn = load_lines(settings, GOOD.replace("10628", ""), as_of=date(2025, 11, 1))
    assert (first.unchanged, again.unchanged, withdrawn.unchanged) == (False, True, False)
    kept = versions(settings.data_home, "indicators")
    assert [path.stem for path in kept] == [first.version, withdrawn.version]
    assert pl.read_parquet(kept[-1])["value"].to_list() == [None]


def test_each_series_belongs_to_an_indicator_and_each_indicator_has_one() -> None:
    with (PROJECT / "seeds" / "terminology" / "indicator_series.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["indicator_id"] for row in rows} == {f"RO-{n:02d}" for n in range(1, 16)}
    with (PROJECT / "seeds" / "measures" / "measure_registry.csv").open(encoding="utf-8", newline="") as handle:
        registered = {row["measure_id"] for row in csv.DictReader(handle)}
    assert {f"RO-{n:02d}" for n in range(1, 20)} | {f"UT-{n:02d}" for n in range(15)} <= registered


def test_the_published_values_in_the_how_to_fit_the_contract(settings: Settings) -> None:
    source = PROJECT / "docs" / "how-to" / "rollout-indicators.csv"
    loaded = load(settings.data_home, "indicators", source, DAY)
    assert (loaded.rejected, loaded.repaired) == ([], [])
    assert loaded.n_rows == len(Path(source).read_text(encoding="utf-8").splitlines()) - 1


def test_the_key_may_be_several_columns_and_each_must_be_kept() -> None:
    contract = load_reference_contracts()["indicators"]
    assert contract.key == ["series", "period_start", "period_end", "area"]
    assert load_reference_contracts()["registry"].key == ["hoscode"]
