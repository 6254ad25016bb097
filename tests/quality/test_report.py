"""The report to a sender: what it says of a delivery, and what it must never show."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import jsonschema
import openpyxl
import polars as pl
import pytest

from ingestion.contract import load_contracts
from ingestion.delivery import content_hash
from ingestion.inbox import stored
from ingestion.sent import HIDDEN, masked
from quality import report, reports
from quality.report import Report
from quality.workbook import MOST_ROWS, workbook
from ruam.errors import UsageError
from ruam.settings import Settings
from ruam.sheets import FORMULA
from tests.ingestion.odd_zips import SENDER, cid, make_zip, row, text, visits, zip_name
from tests.ingestion.reading import take_in
from tests.stewards_factory import delivery, finding, write_stewards

Command = Callable[..., int]
FORMULAS = ['=HYPERLINK("http://x","y")', "+1+1", "-2", "@SUM(A1)"]
NAME, OTHER = "สมหญิงไม่ควรปรากฏ", "90102"


def sheets(made: bytes) -> dict[str, list[list[object]]]:
    book = openpyxl.load_workbook(io.BytesIO(made))
    return {sheet.title: [list(line) for line in sheet.iter_rows(values_only=True)] for sheet in book}


def everything(made: bytes) -> str:
    return "\n".join(
        str(cell) for lines in sheets(made).values() for line in lines for cell in line if cell is not None
    )


@pytest.fixture
def sloppy(settings: Settings, tmp_path: Path) -> Report:
    """Rows set aside and flagged, one of another facility, and cells that begin as formulas do."""
    services = [
        row("SERVICE", SEQ="S0"),
        row("SERVICE", SEQ="S1", DATE_SERV="25670501"),
        row("SERVICE", OTHER, SEQ="OTHERS", PID="THEIRS", PRICE="777"),
        *(row("SERVICE", SEQ=formula, PRICE="much") for formula in FORMULAS),
    ]
    people = [row("PERSON", CID="1234567890123", NAME=NAME, LNAME="", PID=cid(7), MOBILE="0812345678")]
    members = {"SERVICE.txt": text("SERVICE", *services), "PERSON.txt": text("PERSON", *people)}
    members["CARD.txt"] = text("CARD")
    path = make_zip(tmp_path / zip_name(), members)
    take_in(settings, path)
    return report.make(settings, SENDER, content_hash(path))


def file_of(made: Report, name: str) -> report.File:
    return next(one for one in made.files if one.file == name)


def test_each_row_stands_with_its_line_its_rules_and_what_was_sent(sloppy: Report) -> None:
    assert sloppy.delivery.outcome == "accepted_with_rejects"
    assert (sloppy.delivery.n_rows, sloppy.delivery.n_rejected) == (9, 2)
    service = file_of(sloppy, "SERVICE")
    found = {one.line: one for one in service.rows}
    assert sorted(found) == [3, 4, 5, 6, 7, 8]
    (fault,) = found[3].faults
    assert (fault.rule, fault.kind, fault.column) == ("be_year", "set_aside", "DATE_SERV")
    assert found[3].sent is not None
    assert found[3].sent["DATE_SERV"] == "25670501"
    assert [one.faults[0].rule for one in service.rows[2:]] == ["not_numeric"] * 4
    assert [one.sent["SEQ"] for one in service.rows[2:] if one.sent] == FORMULAS
    assert file_of(sloppy, "CARD").rows == []
    assert [one.level for one in sloppy.rules] == sorted(
        (one.level for one in sloppy.rules), key=["row", "warning"].index
    )


def test_nobody_can_be_told_in_a_report(sloppy: Report) -> None:
    for content in (sloppy.model_dump_json(), everything(workbook(sloppy))):
        for secret in (NAME, "1234567890123", cid(1), cid(7), "0812345678", "19800215"):
            assert secret not in content, secret
    (person,) = file_of(sloppy, "PERSON").rows
    assert person.sent is not None
    shown = {name: person.sent[name] for name in ("CID", "PID", "BIRTH", "NAME", "LNAME", "MOBILE")}
    assert shown == {
        "CID": "xxxxxxxxx0123",
        "PID": f"xxxxxxxxx{cid(7)[-4:]}",
        "BIRTH": "198002xx",
        "NAME": HIDDEN,
        "LNAME": None,
        "MOBILE": HIDDEN,
    }


def test_of_another_facilitys_row_its_code_alone_is_shown(sloppy: Report) -> None:
    (theirs,) = (one for one in file_of(sloppy, "SERVICE").rows if one.faults[0].rule == "hospcode_not_sender")
    assert theirs.sent is not None
    assert theirs.sent["HOSPCODE"] == OTHER
    assert {value for name, value in theirs.sent.items() if name != "HOSPCODE"} == {HIDDEN}
    content = sloppy.model_dump_json() + everything(workbook(sloppy))
    assert not [word for word in ("THEIRS", "OTHERS", "777") if word in content]


def test_no_cell_is_a_formula_and_each_says_what_was_sent(sloppy: Report) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook(sloppy)))
    cells = [cell for sheet in book for line in sheet.iter_rows() for cell in line if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    risky = [cell for cell in cells if isinstance(cell.value, str) and cell.value.startswith(FORMULA)]
    # The first is too long for its column, too: its row stands there twice.
    assert list(dict.fromkeys(cell.value for cell in risky)) == FORMULAS
    assert all(cell.quotePrefix for cell in risky), "edited, it would become a formula"


def test_both_forms_hold_the_same(sloppy: Report) -> None:
    lines = sheets(workbook(sloppy))
    assert set(lines) == {"สรุป", "SERVICE", "PERSON", "English"}
    for file in sloppy.files:
        if not file.rows:
            continue
        heads = lines[file.file][2]
        told = [
            (line[0], line[7], [(name, value) for name, value in zip(heads[9:], line[9:], strict=True) if value])
            for line in lines[file.file][3:]
        ]
        wanted = [
            (one.line, fault.rule, [(name, value) for name, value in (one.sent or {}).items() if value])
            for one in file.rows
            for fault in one.faults
        ]
        assert told == wanted


def test_a_delivery_rejected_as_a_whole_says_why_and_what_to_do(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name(), {"notes.txt": "x|y\n1|2\n", "SERVICE.docx": "x"})
    take_in(settings, path)
    made = report.make(settings, SENDER, report.choose(settings.data_home, SENDER))
    assert (made.delivery.outcome, made.delivery.n_rows) == ("rejected", None), "missing is not zero"
    assert [(one.code, one.level) for one in made.rules] == [("no_known_member", "delivery")]
    assert len(made.delivery.members) == 2
    content = everything(workbook(made))
    assert "ไม่รับทั้งไฟล์" in content
    assert "ไม่พบแฟ้มมาตรฐานใน zip" in content


def test_a_delivery_with_nothing_to_mend_says_so(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name()))
    made = report.make(settings, SENDER, report.choose(settings.data_home, SENDER))
    assert made.rules == []
    content = everything(workbook(made))
    assert "ไม่พบสิ่งที่ต้องแก้ไขในการส่งครั้งนี้" in content
    assert "ยังไม่เคยตรวจ" in content, "nothing was built: other files were not asked"


def test_findings_of_standing_rows_stand_beside_those_of_reading(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": visits(3)})
    take_in(settings, path)
    id_ = content_hash(path)
    told = [
        finding(1, delivery_id=id_, source_line=2, state="came_back", n_times_opened=2),
        finding(2, delivery_id=id_, source_line=4),
        finding(3, delivery_id=id_, source_line=3, state="fixed"),
        finding(4, delivery_id=id_, source_line=3, hospcode=OTHER),
        finding(5, delivery_id="e" * 64, state="still_open"),
    ]
    write_stewards(settings.data_home.serving, told, [delivery(id_)])
    made = report.make(settings, SENDER, id_, accepted=[f"{2:032x}"])
    (one,) = file_of(made, "SERVICE").rows
    assert (one.line, one.faults[0].state, one.faults[0].kind) == (2, "came_back", "standing")
    assert one.sent is not None
    assert one.sent["SEQ"] == "S0"
    standing = made.standing
    assert (standing.n_opened, standing.n_still_open, standing.n_came_back, standing.n_fixed) == (1, 1, 1, 1)
    assert (standing.n_accepted, standing.includes_delivery) == (1, True)


def test_a_month_that_drifts_is_told_with_what_was_found_and_how_to_mend_it(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name())
    take_in(settings, path)
    id_ = content_hash(path)
    drift = {"kind": "drift", "rule_code": "volume_drifts", "axis": "complete", "file": "SERVICE", "source_line": None}
    told = [
        # Its report became due after another delivery had come: it is told all the same.
        finding(1, **drift, event_date=date(2025, 1, 1), detail="↓ 3.2 (8.1–14.9)", delivery_id="e" * 64),
        finding(2, **drift, event_date=date(2025, 2, 1), detail="=1+1", delivery_id=id_, state="came_back"),
        finding(3, **drift, event_date=date(2024, 12, 1), delivery_id=id_, state="fixed"),
        finding(4, **drift, event_date=date(2024, 11, 1), delivery_id=id_),
        finding(5, **drift, event_date=date(2024, 10, 1), delivery_id=id_, hospcode=OTHER),
    ]
    write_stewards(settings.data_home.serving, told, [delivery(id_)])
    made = report.make(settings, SENDER, id_, accepted=[f"{4:032x}"])
    assert [(one.month, one.state, one.detail) for one in made.drifts] == [
        (date(2025, 2, 1), "came_back", "=1+1"),
        (date(2025, 1, 1), "opened", "↓ 3.2 (8.1–14.9)"),
    ]
    assert made.drifts[1].fix_th.startswith("ตรวจว่าส่งครบทุกแผนก")
    assert (made.standing.n_opened, made.standing.n_came_back, made.standing.n_accepted) == (2, 1, 1)
    lines = sheets(workbook(made))
    (january,) = (line for line in lines["สรุป"] if line[0] == "ม.ค. 2568 · พบใหม่")
    assert january[2:] == [made.drifts[1].th, made.drifts[1].fix_th, "SERVICE", "↓ 3.2 (8.1–14.9)"]
    assert ["volume_drifts", "2025-01", made.drifts[1].en] in [line[:3] for line in lines["English"]]
    book = openpyxl.load_workbook(io.BytesIO(workbook(made)))
    assert not [cell for sheet in book for line in sheet.iter_rows() for cell in line if cell.data_type == "f"]


def test_a_zip_that_is_kept_no_longer_still_has_its_report(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", row("SERVICE", PRICE="much"))})
    take_in(settings, path)
    stored(settings.data_home.inbox, content_hash(path)).unlink()
    made = report.make(settings, SENDER, content_hash(path))
    (one,) = file_of(made, "SERVICE").rows
    assert (one.line, one.sent, made.are_rows_shown) == (2, None, False)
    assert "พ้นระยะเวลาเก็บรักษา" in everything(workbook(made))


def test_a_delivery_of_another_facility_is_nobodys_to_see(settings: Settings, tmp_path: Path) -> None:
    theirs = make_zip(tmp_path / zip_name(OTHER), {"SERVICE.txt": visits(2, OTHER)})
    take_in(settings, make_zip(tmp_path / zip_name()), theirs)
    with pytest.raises(UsageError, match="no delivery of 90101"):
        report.choose(settings.data_home, SENDER, content_hash(theirs)[:12])
    with pytest.raises(UsageError, match="unknown"):
        report.choose(settings.data_home, "12345")


def test_numbers_are_masked_in_whatever_column_they_stand() -> None:
    rows = pl.DataFrame(
        {"PID": ["x 1100-70214-5676 y", "20240501083000", "๑๑๐๐๗๐๒๑๔๕๖๗๖"], "CID": ["12", None, "12345678"]}
    )
    shown = masked(rows, load_contracts()["PERSON"])
    assert shown["PID"].to_list() == ["x xxxxxxxxx-5676 y", "20240501083000", "xxxxxxxxx๕๖๗๖"]
    assert shown["CID"].to_list() == ["xx", None, "xxxx5678"]


def test_a_sheet_ends_where_it_would_be_too_long_and_says_so(sloppy: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quality.workbook.MOST_ROWS", 3)
    made = workbook(sloppy)
    assert len(sheets(made)["SERVICE"]) == 3 + 3
    assert "ไม่เกิน 3 บรรทัด" in everything(made)
    assert MOST_ROWS < 1_048_576


def test_the_command_gives_both_forms_and_the_schema_that_the_json_keeps(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", row("SERVICE", PRICE="much"))}))
    for form in ("xlsx", "json"):
        assert command("report", SENDER, "--format", form, "--out", tmp_path / f"r.{form}") == 0
        assert stat.S_IMODE((tmp_path / f"r.{form}").stat().st_mode) == 0o600
    capfd.readouterr()
    assert command("report", "--schema") == 0
    schema = json.loads(capfd.readouterr().out)
    told = json.loads((tmp_path / "r.json").read_text("utf-8"))
    jsonschema.validate(told, schema)
    assert told["files"][0]["rows"][0]["faults"][0]["rule"] == "not_numeric"
    assert "not_numeric" in everything((tmp_path / "r.xlsx").read_bytes())
    assert command("report", "12345") == 2
    assert command("report") == 2


def test_reports_are_written_once_and_anew_for_the_newest_after_a_publication(
    settings: Settings, tmp_path: Path
) -> None:
    older, newer = (
        make_zip(tmp_path / zip_name(sent_at=at), {"SERVICE.txt": visits(n)})
        for n, at in ((1, "20240601120000"), (2, "20240701120000"))
    )
    take_in(settings, older, newer)
    assert reports.write(settings, older=False) == 1
    assert reports.write(settings) == 1
    assert reports.write(settings) == 0
    home = settings.data_home
    write_stewards(home.serving, [], [delivery(content_hash(newer))])
    pointer = home.serving / "current.json"
    later = datetime.now().astimezone().replace(year=2099)
    pointer.write_text(
        json.dumps(json.loads(pointer.read_text("utf-8")) | {"published_at": later.isoformat()}), "utf-8"
    )
    assert reports.due(home, report.history.deliveries(home)) == [(SENDER, content_hash(newer))]
