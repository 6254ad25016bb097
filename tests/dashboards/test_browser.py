"""The real server in a real browser: what no session without a browser can see."""

from __future__ import annotations

from time import monotonic
from urllib.parse import urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from dashboards.access.pages import ENTRIES, FIRST, Entry
from ruam.access import Role
from tests.dashboards.servers import demo_context

PAGES = {
    "overview": ("ภาพรวมการรับบริการ", "Overview of care", 8),
    "nation": ("ประเทศในหน้าเดียว", "The nation on one page", 9),
    "utilization": ("การใช้บริการ", "Utilization of care", 2),
    "flow": ("การไปรับบริการข้ามเขต", "Patient flow", 7),
    "measures": ("ความซ้ำซ้อน ความจำเป็น และความสมเหตุสมผล", "Redundancy, necessity and appropriateness", 2),
    "compare": ("เปรียบเทียบ", "Compare", 2),
    "continuity": ("ความต่อเนื่องของการรักษา", "Continuity of care", 3),
    "facility": ("ข้อมูลรายหน่วยบริการ", "Facility profile", 2),
    "explore": ("สำรวจตัวชี้วัด", "Explore the figures", 1),
    "definitions": ("นิยามตัวชี้วัด", "Definitions of the measures", 0),
    "rollout": ("ความก้าวหน้า 30 บาทรักษาทุกที่", "Rollout of treatment anywhere", 4),
    "weaknesses": ("ข้อจำกัดของข้อมูล", "Limits of the data", 2),
    "linkage": ("คุณภาพการเชื่อมโยงบุคคล", "Linkage quality", 2),
    "submissions": ("การส่งข้อมูล", "Submissions", 2),
    "scorecards": ("คะแนนคุณภาพข้อมูล", "Data quality scorecards", 4),
    "rules": ("กฎตรวจสอบข้อมูล", "Rules of data quality", 1),
    "runs": ("การทำงานของระบบ", "What the system did", 0),
    "findings": ("สิ่งที่ต้องแก้ไขในข้อมูลที่ส่ง", "What is to be mended in what was sent", 0),
    "deliveries": ("การส่งข้อมูลของหน่วยบริการ", "What facilities sent", 0),
    "audit": ("บันทึกการเข้าถึงข้อมูล", "Audit log", 0),
}
"""Title in Thai and English, and charts, of every registered page."""
USERS = {Role.ANALYST: "analyst", Role.STEWARD: "steward", Role.PROTECTION_OFFICER: "data_protection_officer"}
"""Who opens a page: the first of these whose role it is for."""
WAIT_MILLISECONDS = 60_000
MOST_TABS = 80
FADE_SECONDS = 20
"""Streamlit draws new text pale at first, which axe takes for its colour."""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Watch:
    """What a page asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname or "127.0.0.1"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.note(message.type, message.text, message.location["url"]))

    def note(self, kind: str, text: str, url: str) -> None:
        # On a page with a path Streamlit's client looks for the server below that path first, and finds none.
        if kind == "error" and not url.endswith(("/_stcore/health", "/_stcore/host-config")):
            self.complaints.append(f"{text} {url}")


def wait_for_page(page: Page, title: str, n_charts: int) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(title, timeout=WAIT_MILLISECONDS)
    drawn = page.locator("[data-testid=stVegaLiteChart] svg.marks")
    expect(drawn).to_have_count(n_charts, timeout=WAIT_MILLISECONDS)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def impaired(page: Page) -> list[str]:
    """What axe finds serious or critical on a page, with the elements, once nothing fades in any more."""
    deadline = monotonic() + FADE_SECONDS
    while True:
        violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        found = [
            f"{one['id']}: {node['html'][:200]}"
            for one in violations
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
        if not found or monotonic() > deadline:
            return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@pytest.mark.parametrize("width", [1440, 390])
def test_every_registered_page_is_drawn_whole_for_all_to_use_and_asks_no_other_host(
    browser: Browser, demo_address: str, entry: Entry, width: int
) -> None:
    thai, _, n_charts = PAGES[entry.name]
    user = next(user for role, user in USERS.items() if role in entry.roles)
    context = demo_context(browser, demo_address, user, width)
    page = context.new_page()
    watch = Watch(page)
    page.goto(f"{demo_address}/{'' if entry is FIRST else entry.name}")
    wait_for_page(page, thai, n_charts)
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px \"Noto Sans Thai\"', 'ไทย'))")
    # Nothing sticks out to the side.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert watch.hosts == {"127.0.0.1"}
    assert watch.complaints == []
    assert impaired(page) == []
    context.close()


def test_the_switch_changes_the_language_and_keeps_the_view(browser: Browser, demo_address: str) -> None:
    thai, english, n_charts = PAGES["utilization"]
    context = demo_context(browser, demo_address, "analyst")
    page = context.new_page()
    watch = Watch(page)
    page.goto(f"{demo_address}/utilization?area=R04&period=fy2567")
    wait_for_page(page, thai, n_charts)
    page.get_by_text("English", exact=True).click()
    wait_for_page(page, english, n_charts)
    expect(page.get_by_role("combobox", name="Area")).to_have_value("Health Region 4")
    page.wait_for_url("**lang=en**")
    assert "area=R04" in page.url
    assert "period=fy2567" in page.url

    # The address alone shows the same view to someone else.
    others = demo_context(browser, demo_address, "executive")
    other = others.new_page()
    other.goto(page.url)
    wait_for_page(other, english, n_charts)
    expect(other.get_by_role("combobox", name="Period")).to_have_value("Fiscal year BE 2567")
    assert watch.complaints == []
    context.close()
    others.close()


def test_definition_and_table_are_one_click_away(browser: Browser, demo_address: str) -> None:
    thai, _, n_charts = PAGES["overview"]
    context = demo_context(browser, demo_address, "analyst")
    page = context.new_page()
    page.goto(demo_address)
    wait_for_page(page, thai, n_charts)
    page.get_by_role("button", name="นิยาม").first.click()
    expect(page.get_by_text("ตัวตั้งของ UT-01")).to_be_visible(timeout=WAIT_MILLISECONDS)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="ตารางข้อมูล").first.click()
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=WAIT_MILLISECONDS)
    context.close()


def test_a_view_is_reached_changed_and_read_by_keyboard_alone(browser: Browser, demo_address: str) -> None:
    thai, _, n_charts = PAGES["utilization"]
    context = demo_context(browser, demo_address, "analyst")
    page = context.new_page()
    page.goto(f"{demo_address}/utilization")
    wait_for_page(page, thai, n_charts)
    box = page.get_by_role("combobox", name="พื้นที่")
    tab_to(page, box)
    page.keyboard.type("เขตสุขภาพที่ 4")
    page.keyboard.press("Enter")
    page.wait_for_url("**area=R04**")
    wait_for_page(page, thai, n_charts)
    expect(box).to_have_value("เขตสุขภาพที่ 4")
    tab_to(page, page.get_by_role("button", name="นิยาม").first)
    page.keyboard.press("Enter")
    expect(page.get_by_text("ตัวตั้งของ UT-00")).to_be_visible(timeout=WAIT_MILLISECONDS)
    page.keyboard.press("Escape")
    tab_to(page, page.get_by_role("button", name="ตารางข้อมูล").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="CSV").first).to_be_visible(timeout=WAIT_MILLISECONDS)
    context.close()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the element, or what holds it, has the focus; fails where no order of tabs leads there."""
    has_focus = "one => one === document.activeElement || one.closest('button') === document.activeElement"
    for _ in range(MOST_TABS):
        if wanted.evaluate(has_focus):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{MOST_TABS} tabs do not lead to {wanted}")


def test_a_printed_page_holds_its_title_and_charts_and_none_of_its_controls(
    browser: Browser, demo_address: str
) -> None:
    thai, _, n_charts = PAGES["nation"]
    context = demo_context(browser, demo_address, "executive")
    page = context.new_page()
    page.goto(f"{demo_address}/nation")
    wait_for_page(page, thai, n_charts)
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    expect(page.get_by_test_id("stHeader")).to_be_hidden()
    expect(page.get_by_test_id("stPopover").first).to_be_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF")
    context.close()
