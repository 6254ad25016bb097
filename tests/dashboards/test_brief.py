"""The brief on one page, as a file and as a button."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from dashboards import brief
from dashboards.brief import FONTS, brief_from, content_of
from dashboards.components.context import Context
from dashboards.queries import reads
from dashboards.queries.reads import Area, Period
from dashboards.queries.serving import current_serving
from ruam.access import NATION
from ruam.audit import AuditLog
from ruam.cli import flow
from ruam.errors import PublishError, StorageError, UsageError
from ruam.geography import province_names, province_names_en
from ruam.home import DataHome
from ruam.words import LANGUAGES, Language, Words, load_words
from tests.dashboards.serving_factory import RUN_ID

MARCH = Period(period_type="month", period_start=date(2025, 3, 1), period_end=date(2025, 3, 31))


def context_of(home: Path, language: Language) -> Context:
    serving = current_serving(home / "serving", NATION)
    assert serving is not None
    publication = reads.publication(serving)
    assert publication is not None
    return Context(Words(language), serving, publication)


def n_pages(pdf: bytes) -> list[int]:
    assert pdf.startswith(b"%PDF-")
    return [int(n) for n in re.findall(rb"/Count (\d+)", pdf)][:1]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("area", ["TH", "R04"])
def test_a_brief_is_one_page_and_the_same_bytes_twice(published_home: Path, area: str, language: Language) -> None:
    first = brief_from(DataHome(published_home), area, None, Words(language))
    assert n_pages(first) == [1]
    assert first == brief_from(DataHome(published_home), area, "2025-03", Words(language))
    assert first != brief_from(DataHome(published_home), area, "2025-02", Words(language))


def test_a_brief_says_what_the_page_of_the_nation_says(published_home: Path) -> None:
    told = content_of(context_of(published_home, "th"), reads.NATION, MARCH)
    assert told["title"] == "สรุปการรับบริการ · ทั้งประเทศ · มี.ค. 2568"
    assert told["as_of"] == "ข้อมูลถึง 31 มี.ค. 2568 · เผยแพร่ 10 เม.ย. 2568"
    assert len(told["figures"]) == 8
    assert len(told["areas"]) == 13
    assert "291 จาก 300" in told["notes"][0]
    assert "<10" in "".join(told["notes"])
    for figure in told["figures"]:
        assert len(figure["points"]) == 12
        assert all(point is None or 0 <= point <= 1 for point in figure["points"])


def test_what_was_not_sent_is_said_to_be_missing_in_a_brief(published_home: Path) -> None:
    region = Area(area_level="region", area_code="13")
    told = content_of(context_of(published_home, "th"), region, MARCH)
    shown = {figure["name"]: figure["shown"] for figure in told["figures"]}
    assert shown.pop("ความครบถ้วนของการส่งข้อมูล") == "0.0%"
    assert set(shown.values()) == {"ไม่มีข้อมูล"}
    assert told["areas"] == [["กรุงเทพมหานคร", *["ไม่มีข้อมูล"] * 4, "0.0%"]]


def test_a_month_in_which_much_changes_is_printed_smaller_and_never_cut(
    published_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief, "headlines", lambda *_: ["**ตัวชี้วัด** เปลี่ยนไปมาก " * 8] * 11)
    assert n_pages(brief_from(DataHome(published_home), "TH", None, Words("th"))) == [1]
    monkeypatch.setattr(brief, "headlines", lambda *_: ["ตัวชี้วัด"] * 200)
    with pytest.raises(PublishError, match="fits no page"):
        brief_from(DataHome(published_home), "TH", None, Words("th"))


def test_text_of_the_data_is_never_markup(published_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = '#panic("x") $ \\ " ] = * _ <pages> @a'
    monkeypatch.setattr(brief, "headlines", lambda *_: [hostile])
    assert n_pages(brief_from(DataHome(published_home), "TH", None, Words("en"))) == [1]


@pytest.mark.parametrize("weight", [400, 600])
def test_the_fonts_have_every_letter_that_a_brief_may_print(weight: int) -> None:
    known = TTFont(FONTS / f"noto-sans-thai-{weight}.ttf").getBestCmap()
    printed = {"brief", "brief_column", "nation", "control", "signal", "signal_told", "signal_all", "signal_region"}
    printed |= {"figure", "value", "note", "month", "area", "column", "export"}
    texts = [
        text for language in LANGUAGES for key, text in load_words(language).items() if key.split(".")[0] in printed
    ]
    letters = set("".join([*texts, *province_names().values(), *province_names_en().values(), "0123456789,.%+-–<"]))
    assert {letter for letter in letters if ord(letter) not in known} == set()


@pytest.mark.parametrize(("area", "month"), [("P50", None), ("R14", None), ("th", None), ("TH", "2030-01")])
def test_an_unknown_area_or_month_is_an_error_of_use(published_home: Path, area: str, month: str | None) -> None:
    with pytest.raises(UsageError):
        brief_from(DataHome(published_home), area, month, Words("th"))


def test_without_a_publication_there_is_no_brief(tmp_path: Path) -> None:
    (tmp_path / "serving").mkdir()
    with pytest.raises(PublishError):
        brief_from(DataHome(tmp_path), "TH", None, Words("th"))


def test_the_command_writes_the_brief_and_replaces_an_older_one(
    published_home: Path, in_process: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    (published_home / "landing").mkdir(exist_ok=True)
    out = tmp_path / "brief.pdf"
    assert in_process("brief", "R04", "--out", str(out), "--month", "2025-02") == 0
    older = out.read_bytes()
    assert in_process("brief", "R04", "--out", str(out)) == 0
    assert n_pages(out.read_bytes()) == [1]
    assert out.read_bytes() != older
    assert in_process("brief", "P50", "--out", str(out)) == 2


def test_briefs_of_the_nation_and_all_regions_are_written_and_each_is_told_to_the_audit_log(
    published_home: Path, in_process: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    (published_home / "landing").mkdir(exist_ok=True)
    assert in_process("brief", "--all", "--out", str(tmp_path / "briefs")) == 0
    written = sorted((tmp_path / "briefs").iterdir())
    assert [path.name for path in written] == sorted(
        f"brief-{area}.pdf" for area in ("TH", *(f"R{number:02d}" for number in range(1, 14)))
    )
    told = AuditLog(DataHome(published_home)).newest(14)
    assert {entry["filters"]["area"]: entry["sha256"] for entry in told} == {
        path.stem.removeprefix("brief-"): hashlib.sha256(path.read_bytes()).hexdigest() for path in written
    }
    assert {(entry["event"], entry["page"], entry["publication"]) for entry in told} == {("export", "brief", RUN_ID)}
    assert all(entry["subject"].startswith("account ") for entry in told)


def test_a_brief_that_cannot_be_recorded_is_not_handed_out(
    published_home: Path, in_process: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setenv("RUAM_HOME", str(published_home))
    (published_home / "landing").mkdir(exist_ok=True)
    monkeypatch.setattr(AuditLog, "write", full)
    assert in_process("brief", "TH", "--out", str(tmp_path / "brief.pdf")) == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["TH"], ["--out", "x"], ["TH", "--all", "--out", "x"]])
def test_a_brief_is_of_one_area_or_of_all(in_process: Callable[..., int], arguments: list[str]) -> None:
    assert in_process("brief", *arguments) == 2


@pytest.mark.parametrize(("build", "written"), [("00000000", 14), (RUN_ID[-8:], 0)], ids=["new", "published already"])
def test_the_days_work_writes_the_briefs_after_it_has_published(
    published_home: Path,
    in_process: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    build: str,
    written: int,
) -> None:
    for step in ("take_people_in", "links_are_old", "_build", "_publish", "write_reports", "_empty_inbox"):
        monkeypatch.setattr(flow, step, lambda *_, **__: None)
    monkeypatch.setattr("ruam.build.last_build_id", lambda _: build)
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    monkeypatch.setenv("RUAM_BRIEFS", str(tmp_path / "briefs"))
    (published_home / "landing").mkdir(exist_ok=True)
    assert in_process("run") == 0
    assert len(list(tmp_path.glob("briefs/*.pdf"))) == written
