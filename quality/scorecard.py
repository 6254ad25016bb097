"""A scorecard as a file: what the page shows of one area, for whoever has to mend it, from what is published alone.

An Excel workbook has a sheet for the four axes now, by month, the costliest rules, what the newest delivery changed,
the reports, and how to read it; CSV has the scores by month. Words are those of the page. Cells are texts or numbers
and never formulas, whatever a name holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from quality.catalogue import axis_of
from quality.wording import wording
from ruam.era import short_day, short_month
from ruam.errors import PublishError, UsageError
from ruam.files import replacing
from ruam.home import DataHome
from ruam.publish import current
from ruam.sheets import Cell, add_table, csv_of, workbook
from ruam.words import Words

N_RULES = 10
MISSING = "ไม่มีข้อมูล"
_AREA = re.compile(r"(TH)|R(\d{2})|P(\d{2})|D(\d{4})|(\d{5})")
_LEVELS = ("nation", "region", "province", "district", "facility")

_AXES = ("correct", "consistent", "complete", "timely")
_STATES = ("received", "late", "partial", "zero", "silent", "not_due", "closed", "not_registered")


def _word(kind: str, code: object) -> str:
    return Words("th")(f"{kind}.{code}")


@dataclass(frozen=True)
class Sheet:
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def parse_area(text: str) -> tuple[str, str]:
    """Level and code of `TH`, `R04`, `P50`, `D5001` or a facility of five digits. Raises `UsageError` for another."""
    found = _AREA.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no area: give TH, R01 to R13, P and 2 digits, D and 4, or a HOSPCODE of 5 digits."
        )
    return next((level, code) for level, code in zip(_LEVELS, found.groups(), strict=True) if code)


def write_scorecard(home: DataHome, area: str, path: Path) -> int:
    """Write the area's scorecard as .xlsx or .csv, whole or not at all; gives the number of months scored.

    Raises `UsageError` for an area without a scorecard or another ending, `PublishError` when nothing is published.
    """
    if path.suffix not in (".xlsx", ".csv"):
        raise UsageError(f"{path.name}: give a name that ends in .xlsx or .csv.")
    level, code = parse_area(area)
    pointer = current(home)
    if pointer is None or not (home.serving / pointer["file"]).is_file():
        raise PublishError("Nothing is published yet. Run `ruam build`, then `ruam publish`.")
    with duckdb.connect(str(home.serving / pointer["file"]), read_only=True) as connection:
        name = connection.execute(
            "select name_th from dim_areas where area_level = $level and area_code = $code",
            {"level": level, "code": code},
        ).fetchone()
        sheets = (
            list(_sheets(connection, level, code, name[0] if name else code))
            if _is_scored(connection, level, code)
            else []
        )
    if not sheets:
        raise UsageError(f"There is no scorecard of {area}: no report of it was due and none of its rows checked.")
    months = next(sheet for sheet in sheets if sheet.title == "รายเดือน")
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            rows = [[None if cell is None else str(cell) for cell in row] for row in months.rows]
            schema = dict.fromkeys(months.heads, pl.String)
            temporary.write_bytes(csv_of(pl.DataFrame(rows, schema=schema, orient="row")))
        else:
            with workbook(temporary) as book:
                for sheet in sheets:
                    add_table(book, sheet.title, sheet.heads, sheet.rows)
    return len({row[0] for row in months.rows})


def _is_scored(connection: duckdb.DuckDBPyConnection, level: str, code: str) -> bool:
    try:
        found = connection.execute(
            "select count(*) from agg_scorecards where area_level = ? and area_code = ?", [level, code]
        ).fetchone()
    except duckdb.CatalogException as error:
        raise PublishError("What is published has no scorecards yet. Run `ruam build`, then `ruam publish`.") from error
    return bool(found and found[0])


def _sheets(connection: duckdb.DuckDBPyConnection, level: str, code: str, name: str) -> Iterator[Sheet]:
    area = {"level": level, "code": code}
    of_area = "where area_level = $level and area_code = $code"
    scores = connection.execute(f"select * from agg_scorecards {of_area} order by report_month, axis", area).pl()
    in_order = {axis: place for place, axis in enumerate(_AXES)}
    scores = scores.with_columns(pl.col("axis").replace_strict(in_order).alias("place")).sort("report_month", "place")
    newest = scores.filter(pl.col("score").is_not_null()).group_by("axis", maintain_order=True).last().sort("place")
    yield Sheet(
        "สรุป",
        ("แกน", "เดือน", "คะแนน", "เปลี่ยนจากเดือนก่อน", "สัญญาณ", "ช่วงควบคุมต่ำ", "ช่วงควบคุมสูง", "เทียบกลุ่มเดียวกัน",
         "มัธยฐานของกลุ่ม", "ควอร์ไทล์ที่ 1", "ควอร์ไทล์ที่ 3", "จำนวนในกลุ่ม"),
        [
            (_word("quality_axis", row["axis"]), short_month(row["report_month"]), _rounded(row["score"]),
             _rounded(row["change"]), _word("signal", row["signal"]), _rounded(row["lower_limit"]),
             _rounded(row["upper_limit"]),
             _word("peer_band", row["peer_band"]),
             _rounded(row["median_score"]), _rounded(row["first_quartile"]), _rounded(row["third_quartile"]),
             row["n_peers"])
            for row in newest.iter_rows(named=True)
        ],
    )  # fmt: skip
    yield Sheet(
        "รายเดือน",
        ("เดือน", "แกน", "คะแนน", "เปลี่ยนจากเดือนก่อน", "สัญญาณ", "ช่วงควบคุมต่ำ", "ช่วงควบคุมสูง", "มัธยฐานของกลุ่ม",
         "แถวที่ตรวจ", "แถวที่ผิด", "แถวที่อ่าน", "แถวที่ไม่รับเข้า", "รายงานที่ต้องส่ง", "รายงานที่ได้"),
        [
            (short_month(row["report_month"]), _word("quality_axis", row["axis"]), _rounded(row["score"]),
             _rounded(row["change"]), _word("signal", row["signal"]), _rounded(row["lower_limit"]),
             _rounded(row["upper_limit"]),
             _rounded(row["median_score"]), _count(row, "n_checked"), _count(row, "n_broken"),
             *(_count(row, name) if row["axis"] == "correct" else None for name in ("n_read", "n_set_aside")),
             row["n_reports_due"], row["n_reports_met"])
            for row in scores.iter_rows(named=True)
        ],
    )  # fmt: skip
    rules = connection.execute(
        f"select * from agg_rule_results {of_area} and cost_rank <= {N_RULES} order by cost_rank", area
    ).pl()
    yield Sheet(
        "กฎที่ควรแก้ก่อน",
        ("ลำดับ", "รหัสกฎ", "กฎ", "วิธีแก้", "แกน", "ความรุนแรง", "แถวที่ผิด (12 เดือน)", "แถวที่ตรวจ (12 เดือน)",
         "แถวที่ผิด (เดือนล่าสุด)", "แถวที่ผิด (เดือนก่อน)"),
        [
            (row["cost_rank"], row["rule_code"], wording(row["rule_code"]).th, wording(row["rule_code"]).fix_th,
             _axis(row["rule_code"], row["axis"]), _word("severity", row["severity"]), _count(row, "n_broken"),
             _count(row, "n_checked"), _count(row, "n_broken_newest"), _count(row, "n_broken_before"))
            for row in rules.iter_rows(named=True)
        ],
    )  # fmt: skip
    changes = connection.execute(
        f"select * from agg_finding_changes {of_area} order by rule_code <> 'all', rule_code", area
    ).pl()
    yield Sheet(
        "การส่งครั้งล่าสุด",
        ("กฎ", "รหัสกฎ", "พบใหม่", "กลับมาพบอีก", "แก้ไขแล้ว", "ยังไม่แก้ไข (ทั้งหมด)", "ส่งล่าสุด"),
        [
            (*(("ทุกกฎ", None) if row["rule_code"] == "all" else (wording(row["rule_code"]).th, row["rule_code"])),
             *(_count(row, name) for name in ("n_opened", "n_came_back", "n_fixed", "n_open")),
             _day(row["newest_sent_on"]))
            for row in changes.iter_rows(named=True)
        ],
    )  # fmt: skip
    yield _reports(connection, level, code)
    yield _explanation(connection, name)


def _reports(connection: duckdb.DuckDBPyConnection, level: str, code: str) -> Sheet:
    """Of a facility each month's report, of another area how many reports are in each state."""
    if level == "facility":
        rows = connection.execute(
            "select * from agg_facility_reports where hospcode = ? order by report_month", [code]
        ).pl()
        return Sheet(
            "การส่งข้อมูล",
            ("เดือน", "สถานะ", "วันครบกำหนด", "วันที่ส่ง", "แฟ้มที่ขาด", "แฟ้มที่น้อยผิดปกติ"),
            [
                (short_month(row["report_month"]), _word("report_state", row["state"]), _day(row["due_on"]),
                 _day(row["sent_on"]), row["missing_files"], row["short_files"])
                for row in rows.iter_rows(named=True)
            ],
        )  # fmt: skip
    found = connection.execute(
        "select report_month, state, sum(n_reports)::integer from agg_submissions "
        "where area_level = ? and area_code = ? group by all order by report_month",
        [level, code],
    ).fetchall()
    counts = {(month, state): n for month, state, n in found}
    return Sheet(
        "การส่งข้อมูล",
        ("เดือน", *(_word("report_state", state) for state in _STATES)),
        [
            (short_month(month), *(counts.get((month, state), 0) for state in _STATES))
            for month in dict.fromkeys(month for month, _, _ in found)
        ],
    )


def _explanation(connection: duckdb.DuckDBPyConnection, name: str) -> Sheet:
    run_id, data_to, rule = connection.execute(
        "select run_id, cast(data_to as date), disclosure_rule from publication"
    ).fetchall()[0]
    defined = connection.execute(
        "select measure_id, name_th, numerator_th, denominator_th, caveat_th, source from dim_measures "
        "where measure_id in ('DQ-02', 'DQ-03', 'DQ-04', 'DQ-05') order by measure_id"
    ).fetchall()
    return Sheet(
        "คำอธิบาย",
        ("เรื่อง", "ความหมาย"),
        [
            ("พื้นที่", name),
            ("ข้อมูลถึง", _day(data_to)),
            ("รุ่นที่เผยแพร่", run_id),
            ("การควบคุมการเปิดเผย", rule),
            ("ช่องว่าง", "ไม่มีข้อมูล ซึ่งไม่ใช่ศูนย์"),
            *((f"{code} {title}", f"{above} ÷ {below} · {caveat} · {source}")
              for code, title, above, below, caveat, source in defined),
        ],
    )  # fmt: skip


def _axis(code: str, scored: str | None) -> str | None:
    axis = axis_of(code, scored)
    return None if axis is None else _word("quality_axis", axis)


def _day(day: date | None) -> str | None:
    return None if day is None else short_day(day)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)


def _count(row: dict[str, object], column: str) -> Cell:
    number, status = row[column], row[f"{column}_status"]
    return "<10" if status == "below_10" else number if isinstance(number, int) else MISSING
