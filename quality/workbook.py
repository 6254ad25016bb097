"""The sender's report as an Excel workbook: a summary, a sheet for each file with something to mend, and English words.

Every value is written as text or as a number of ours, never as whatever a spreadsheet would make of it: what a sender
put into a cell may begin as a formula does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from xlsxwriter.worksheet import Worksheet

from ingestion.contract import Contract, load_contracts
from quality.report import BrokenRule, Drift, Fault, File, Report, Row
from quality.wording import wording
from ruam import sheets
from ruam.era import thai_day, thai_month

MOST_ROWS = 20_000
"""Lines of one sheet; the JSON has them all, and the sheet says so."""

LINE_HEIGHT = 15
_ABOVE_OR_BELOW = re.compile("[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")

SUMMARY, ENGLISH = "สรุป", "English"
OUTCOMES = {
    "accepted": "รับเข้าครบทุกแถว",
    "accepted_with_rejects": "รับเข้าแล้ว แต่บางแถวไม่รับ",
    "rejected": "ไม่รับทั้งไฟล์ ไม่มีข้อมูลใดเข้าระบบ",
}
LEVELS = {
    "delivery": "ไม่รับทั้งไฟล์",
    "row": "แถวไม่ถูกรับเข้า",
    "standing": "ไม่สอดคล้องกับข้อมูลอื่น",
    "warning": "รับเข้า แต่มีข้อสังเกต",
}
KINDS = {"set_aside": LEVELS["row"], "kept_with_flag": LEVELS["warning"], "standing": LEVELS["standing"]}
STATES = {"opened": "พบใหม่", "still_open": "ยังไม่แก้ไข", "came_back": "กลับมาพบอีก"}
NOT_LOOKED = "–"
DRIFT_READING = "↑ สูงกว่า ↓ ต่ำกว่าช่วงที่ควรเป็นตามข้อมูล 12–24 เดือนก่อนหน้า · จำนวนครั้งบริการเป็นครั้งต่อวัน สัดส่วนมีค่า 0–1"

_NAVY, _PALE, _RED, _GREEN = "#12436D", "#E8EEF4", "#FDE7E9", "#E3F4EC"
_HEADINGS = ("บรรทัด", "ผลการตรวจ", "คอลัมน์", "ปัญหา", "วิธีแก้ไข", "สถานะ", "พบครั้งแรก", "รหัสกฎ", "รหัสข้อค้นพบ")
_WIDTHS = (8, 20, 16, 44, 44, 14, 14, 26, 14)


class _Book:
    """A workbook and the few looks of its cells."""

    def __init__(self, target: BytesIO, report: Report) -> None:
        self.book = sheets.workbook(target)
        self.book.set_properties(
            {
                "title": f"Ruam {report.facility.hospcode}",
                "comments": report.version,
                "created": report.made_at.replace(tzinfo=None),
            }
        )
        base = {"font_name": "Tahoma", "font_size": 10, "valign": "top"}
        looks: dict[str, dict[str, Any]] = {
            "text": {"text_wrap": True, "num_format": "@"},
            "missing": {"align": "center"},
            "cell": {"num_format": "@"},
            "wrong": {"num_format": "@", "bg_color": _RED},
            "number": {"num_format": "#,##0", "align": "center"},
            "title": {"bold": True, "font_size": 16, "font_color": _NAVY},
            "part": {"bold": True, "font_size": 12, "font_color": _NAVY},
            "head": {"bold": True, "bg_color": _NAVY, "font_color": "#FFFFFF", "text_wrap": True, "valign": "vcenter"},
            "label": {"bg_color": _PALE, "text_wrap": True},
            "small": {"font_size": 9, "font_color": "#5B6770", "text_wrap": True},
            "bad": {"bold": True, "bg_color": _RED, "text_wrap": True},
            "good": {"bold": True, "bg_color": _GREEN, "text_wrap": True},
            "link": {"font_color": "#0B5FA5", "underline": 1},
        }
        self.looks = {name: self.book.add_format(base | look) for name, look in looks.items()}
        # A text that begins as a formula does stays text when somebody edits its cell.
        quoted = {"quote_prefix": True}
        self.quoted = {name: self.book.add_format(base | looks[name] | quoted) for name in ("text", "cell", "wrong")}

    def write(self, sheet: Worksheet, row: int, column: int, text: str | None, look: str = "text") -> None:
        if text is None:
            sheet.write_blank(row, column, None, self.looks[look])
            return
        is_risky = text.startswith(sheets.FORMULA) and look in self.quoted
        sheet.write_string(row, column, text, self.quoted[look] if is_risky else self.looks[look])

    def number(self, sheet: Worksheet, row: int, column: int, value: int | None) -> None:
        """Missing is not zero."""
        if value is None:
            self.write(sheet, row, column, "–", "missing")
        else:
            sheet.write_number(row, column, value, self.looks["number"])

    def grow(self, sheet: Worksheet, row: int, *cells: tuple[str | None, int]) -> None:
        """Make a row as high as its texts need in columns of these widths; no program does so for a file it only reads.

        Thai vowels and tone marks that stand above or below a letter take no room of their own.
        """
        lines = max(-(-len(_ABOVE_OR_BELOW.sub("", text or "")) // width) for text, width in cells)
        sheet.set_row(row, LINE_HEIGHT * max(lines, 1))

    def heads(self, sheet: Worksheet, row: int, texts: tuple[str, ...]) -> None:
        for column, text in enumerate(texts):
            sheet.write_string(row, column, text, self.looks["head"])


def workbook(report: Report) -> bytes:
    """The report as the bytes of an .xlsx file."""
    target = BytesIO()
    made = _Book(target, report)
    _summary(made, report)
    for file in report.files:
        if file.rows:
            _sheet(made, file)
    _english(made, report)
    made.book.close()
    return target.getvalue()


def _summary(made: _Book, report: Report) -> None:
    sheet = made.book.add_worksheet(SUMMARY)
    sheet.hide_gridlines(2)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    for column, width in enumerate((26, 30, 46, 46, 14, 30)):
        sheet.set_column(column, column, width)
    facility, sent = report.facility, report.delivery
    place = f"จังหวัด{facility.province}" if facility.province else ""
    name = facility.name or "ไม่อยู่ในทะเบียนหน่วยบริการ"
    sheet.write_string(0, 0, "รายงานผลการตรวจสอบข้อมูลที่ส่ง", made.looks["title"])
    facts = [
        ("หน่วยบริการ", f"{facility.hospcode} {name} {place}".strip()),
        ("ไฟล์ที่ส่ง", sent.file_name),
        ("วันที่ในชื่อไฟล์", _moment(sent.sent_at) if sent.sent_at else "ชื่อไฟล์ไม่มีวันเวลา"),
        ("รหัสการส่ง", sent.delivery_id[:12]),
        ("ตรวจข้ามแฟ้มถึง", _looked(report)),
        *([("รายละเอียด", sent.detail)] if sent.detail else []),
    ]
    row = 2
    for label, text in facts:
        made.write(sheet, row, 0, label, "label")
        sheet.merge_range(row, 1, row, 3, "", made.looks["text"])
        made.write(sheet, row, 1, text)
        row += 1
    made.write(sheet, row, 0, "ผล", "label")
    sheet.merge_range(row, 1, row, 3, "", made.looks["good" if sent.outcome == "accepted" else "bad"])
    made.write(sheet, row, 1, OUTCOMES[sent.outcome], "good" if sent.outcome == "accepted" else "bad")
    row = _counts(made, sheet, row + 2, report)
    row = _advice(made, sheet, row + 1, report)
    if report.rules:
        row = _rules(made, sheet, row + 1, report.rules)
    if report.drifts:
        row = _drifts(made, sheet, row + 1, report.drifts)
    if report.files:
        row = _files(made, sheet, row + 1, report)
    for line, member in enumerate(sent.members):
        if line == 0:
            sheet.write_string(row + 1, 0, "สิ่งที่อยู่ในไฟล์ zip", made.looks["part"])
        made.write(sheet, row + 2 + line, 0, member)


def _moment(moment: Any) -> str:
    return f"{thai_day(moment)} เวลา {moment:%H:%M} น."


def _looked(report: Report) -> str:
    standing = report.standing
    if standing.as_of is None:
        return "ยังไม่เคยตรวจ รายงานนี้มีเฉพาะผลการอ่านไฟล์"
    if not standing.includes_delivery:
        return f"{thai_day(standing.as_of)} ก่อนรับไฟล์นี้ รายงานนี้จึงมีเฉพาะผลการอ่านไฟล์"
    return thai_day(standing.as_of)


def _counts(made: _Book, sheet: Worksheet, row: int, report: Report) -> int:
    sent, standing = report.delivery, report.standing
    parts: list[tuple[str, list[tuple[str, int | None]]]] = []
    if sent.outcome != "rejected":
        rows: list[tuple[str, int | None]] = [
            ("แถวที่ส่ง", sent.n_rows),
            ("รับเข้า", sent.n_landed),
            ("ไม่รับ", sent.n_rejected),
            ("รับเข้า มีข้อสังเกต", sent.n_flagged),
        ]
        parts.append(("แถวในการส่งครั้งนี้", rows))
    if standing.as_of is not None:
        found: list[tuple[str, int | None]] = [
            ("พบใหม่", standing.n_opened),
            ("ยังไม่แก้ไข", standing.n_still_open),
            ("กลับมาพบอีก", standing.n_came_back),
            ("แก้ไขแล้ว", standing.n_fixed),
            ("ยืนยันว่าถูกต้อง", standing.n_accepted),
        ]
        parts.append(("ข้อค้นพบทั้งหมดของหน่วยบริการ (จากทุกครั้งที่ส่ง)", found))
    for title, counts in parts:
        sheet.write_string(row, 0, title, made.looks["part"])
        for line, (label, n) in enumerate(counts, start=row + 1):
            made.write(sheet, line, 0, label, "label")
            made.number(sheet, line, 1, n)
        row += len(counts) + 2
    return row - 1


def _advice(made: _Book, sheet: Worksheet, row: int, report: Report) -> int:
    sheet.write_string(row, 0, "ต้องทำอะไรต่อ", made.looks["part"])
    row += 1
    for text in advice(report):
        sheet.merge_range(row, 0, row, 3, "", made.looks["text"])
        made.write(sheet, row, 0, text)
        made.grow(sheet, row, (text, 140))
        row += 1
    return row


def advice(report: Report) -> Iterator[str]:
    """What the sender is to do, one sentence after the other."""
    if report.delivery.outcome == "rejected":
        yield "ระบบไม่รับไฟล์นี้ทั้งไฟล์ โปรดแก้ไขตามตารางด้านล่างแล้วส่งใหม่ ข้อมูลที่เคยส่งก่อนหน้านี้ยังอยู่ครบ"
        return
    if not report.rules:
        yield "ไม่พบสิ่งที่ต้องแก้ไขในการส่งครั้งนี้"
    else:
        yield "แก้ไขที่โปรแกรมต้นทางตามคอลัมน์ “วิธีแก้ไข” ในแต่ละแฟ้ม แล้วส่งแถวนั้นใหม่โดยให้ D_UPDATE ใหม่กว่าเดิม ข้อค้นพบจะปิดเอง"
        yield "แถวที่ไม่ถูกรับเข้าจะไม่ถูกนับในระบบจนกว่าจะส่งใหม่ หากข้อมูลถูกต้องอยู่แล้ว โปรดแจ้งผู้ดูแลคุณภาพข้อมูลพร้อมรหัสข้อค้นพบ"
    if report.drifts:
        yield "บางเดือนต่างจากที่เคยส่งมาก โปรดตรวจตามตารางด้านล่าง หากเป็นจริง โปรดแจ้งผู้ดูแลคุณภาพข้อมูลพร้อมรหัสข้อค้นพบ"
    if not report.are_rows_shown:
        yield "ไม่แสดงแถวตามที่ส่ง เพราะไฟล์พ้นระยะเวลาเก็บรักษา หรือไม่ใช่ไฟล์ 43 แฟ้ม โปรดดูจากเลขบรรทัดในไฟล์ของท่าน"
    elif report.rules:
        yield "เพื่อคุ้มครองข้อมูลส่วนบุคคล เลขประจำตัวประชาชนแสดงไม่เกิน 4 หลักท้าย วันเกิดแสดงเฉพาะปีและเดือน ชื่อและที่อยู่ไม่แสดง"
    if any(len(file.rows) > MOST_ROWS for file in report.files):
        yield f"แต่ละแฟ้มแสดงไม่เกิน {MOST_ROWS:,} บรรทัด รายการทั้งหมดอยู่ในรายงานแบบ JSON"


def _rules(made: _Book, sheet: Worksheet, row: int, rules: list[BrokenRule]) -> int:
    sheet.write_string(row, 0, "ปัญหาที่พบ", made.looks["part"])
    made.heads(sheet, row + 1, ("ผลการตรวจ", "รหัสกฎ", "ปัญหา", "วิธีแก้ไข", "จำนวนแถว", "แฟ้ม"))
    row += 2
    for rule in rules:
        texts = (LEVELS.get(rule.level, rule.level), rule.code, rule.th, rule.fix_th)
        for column, text in enumerate(texts):
            made.write(sheet, row, column, text)
        made.number(sheet, row, 4, rule.n_rows)
        files = ", ".join(rule.files) or "–"
        made.write(sheet, row, 5, files)
        made.grow(sheet, row, (texts[2], 44), (texts[3], 44), (files, 28))
        row += 1
    return row


def _drifts(made: _Book, sheet: Worksheet, row: int, drifts: list[Drift]) -> int:
    sheet.write_string(row, 0, "เดือนที่ต่างจากข้อมูลย้อนหลังของหน่วยบริการเอง (จากทุกครั้งที่ส่ง)", made.looks["part"])
    sheet.merge_range(row + 1, 0, row + 1, 5, DRIFT_READING, made.looks["small"])
    heads = ("เดือน · สถานะ", "รหัสกฎ · รหัสข้อค้นพบ", "ปัญหา", "วิธีแก้ไข", "ตรวจแฟ้ม", "ค่าที่พบ (ช่วงที่ควรเป็น)")
    made.heads(sheet, row + 2, heads)
    row += 3
    for drift in drifts:
        texts = (
            f"{thai_month(drift.month) if drift.month else '–'} · {STATES[drift.state]}",
            f"{drift.code} · {drift.finding_key[:12]}",
            drift.th,
            drift.fix_th,
            drift.file or "–",
            drift.detail or "–",
        )
        for column, text in enumerate(texts):
            made.write(sheet, row, column, text)
        made.grow(sheet, row, *zip(texts, (24, 28, 44, 44, 13, 28), strict=True))
        row += 1
    return row


def _files(made: _Book, sheet: Worksheet, row: int, report: Report) -> int:
    sheet.write_string(row, 0, "แฟ้มที่ส่ง", made.looks["part"])
    made.heads(sheet, row + 1, ("แฟ้ม", "ชื่อแฟ้ม", "แถวที่ส่ง = รับเข้า + ไม่รับ", "ผล", "มีข้อสังเกต"))
    row += 2
    for file in report.files:
        if file.rows:
            sheet.write_url(row, 0, f"internal:'{file.file}'!A1", made.looks["link"], file.file)
        else:
            made.write(sheet, row, 0, file.file)
        made.write(sheet, row, 1, file.label_th)
        made.write(sheet, row, 2, f"{file.n_rows:,} = {file.n_landed:,} + {file.n_rejected:,}")
        made.write(sheet, row, 3, f"ต้องตรวจ {len(file.rows):,} แถว" if file.rows else "ไม่พบข้อผิดพลาด")
        made.number(sheet, row, 4, file.n_flagged)
        row += 1
    return row


def _sheet(made: _Book, file: File) -> None:
    sheet = made.book.add_worksheet(file.file)
    contract = load_contracts().get(file.file)
    columns = list(dict.fromkeys(name for row in file.rows for name in row.sent or ()))
    for column, width in enumerate(_WIDTHS):
        sheet.set_column(column, column, width)
    if columns:
        sheet.set_column(len(_WIDTHS), len(_WIDTHS) + len(columns) - 1, 16)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(2)
    sheet.write_string(0, 0, f"{file.file} {file.label_th}", made.looks["part"])
    sheet.write_url(0, 3, f"internal:'{SUMMARY}'!A1", made.looks["link"], "กลับไปหน้าสรุป")
    sheet.set_row(1, 30)
    for column, text in enumerate(columns, start=len(_HEADINGS)):
        made.write(sheet, 1, column, _label(contract, text), "small")
    made.heads(sheet, 2, (*_HEADINGS, *columns))
    at = 3
    shown = [(row, fault) for row in file.rows[:MOST_ROWS] for fault in row.faults][:MOST_ROWS]
    for row, fault in shown:
        _line(made, sheet, at, row, fault, columns)
        at += 1
    sheet.autofilter(2, 0, at - 1, len(_HEADINGS) + len(columns) - 1)
    sheet.freeze_panes(3, 4)


def _label(contract: Contract | None, name: str) -> str:
    column = contract.by_name.get(name) if contract else None
    return column.label_th if column else name


def _line(made: _Book, sheet: Worksheet, at: int, row: Row, fault: Fault, columns: list[str]) -> None:
    words = wording(fault.rule)
    made.number(sheet, at, 0, row.line)
    texts = (
        KINDS[fault.kind],
        fault.column or "–",
        words.th,
        words.fix_th,
        STATES[fault.state] if fault.state else NOT_LOOKED,
        thai_day(fault.first_opened_at) if fault.first_opened_at else "–",
        fault.rule,
        fault.finding_key[:12] if fault.finding_key else "–",
    )
    for column, text in enumerate(texts, start=1):
        made.write(sheet, at, column, text)
    made.grow(sheet, at, (texts[2], 42), (texts[3], 42))
    for column, name in enumerate(columns, start=len(_HEADINGS)):
        value = (row.sent or {}).get(name)
        if value is not None or name == fault.column:
            made.write(sheet, at, column, value, "wrong" if name == fault.column else "cell")


def _english(made: _Book, report: Report) -> None:
    """The same rules in English, for whoever looks after the sending program."""
    sheet = made.book.add_worksheet(ENGLISH)
    for column, width in enumerate((30, 12, 60, 60, 12, 40)):
        sheet.set_column(column, column, width)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sent = report.delivery
    made.write(sheet, 0, 0, f"{report.facility.hospcode} {sent.file_name}: {sent.outcome}", "part")
    made.heads(sheet, 2, ("Rule", "Level", "What is wrong", "What to do", "Rows", "Files"))
    for at, rule in enumerate(report.rules, start=3):
        for column, text in enumerate((rule.code, rule.level, rule.en, rule.fix_en)):
            made.write(sheet, at, column, text)
        made.number(sheet, at, 4, rule.n_rows)
        made.write(sheet, at, 5, ", ".join(rule.files) or "–")
        made.grow(sheet, at, (rule.en, 58), (rule.fix_en, 58))
    at = 3 + len(report.rules)
    if report.drifts:
        at += 1
        made.write(sheet, at, 0, "Months that differ from the facility's own history (of all that it has sent)", "part")
        heads = ("Rule", "Month", "What is wrong", "What to do", "File", "Found (limits)")
        made.heads(sheet, at + 1, heads)
        for line, drift in enumerate(report.drifts, start=at + 2):
            month = f"{drift.month:%Y-%m}" if drift.month else "–"
            texts = (drift.code, month, drift.en, drift.fix_en, drift.file or "–", drift.detail or "–")
            for column, text in enumerate(texts):
                made.write(sheet, line, column, text)
            made.grow(sheet, line, (drift.en, 58), (drift.fix_en, 58), (drift.detail, 38))
    elif not report.rules:
        made.write(sheet, at, 0, "Nothing to mend.")
