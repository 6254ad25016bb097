"""Signing in and out in a real browser, with a certified provider and with demo users."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ruam.audit import AuditLog
from ruam.home import DataHome
from tests.dashboards.servers import demo_context, free_port, served
from tests.installed import missing

PROVIDER = Path(__file__).parents[1] / "provider"
WAIT_MILLISECONDS = 150_000
PEOPLE = {
    "analyst4": {"name": "นักวิเคราะห์ เขตสี่", "roles": ["analyst"], "areas": ["R04"]},
    "newcomer": {"name": "Newcomer"},
}

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def ruam(published_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages, signed in to by oidc-provider."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if node is None or not (PROVIDER / "node_modules").is_dir():
        missing("oidc-provider is not installed; `make provider` installs it")
    port, secret = free_port(), secrets.token_hex(16)
    redirect = f"http://127.0.0.1:{port}/oauth2callback"
    environment = os.environ | {"PEOPLE": json.dumps(PEOPLE), "REDIRECT_URI": redirect, "CLIENT_SECRET": secret}
    with subprocess.Popen(  # noqa: S603
        [str(node), "provider.mjs"],
        cwd=PROVIDER,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as provider:
        try:
            assert provider.stdout
            issuer = provider.stdout.readline().strip()
            assert issuer, "the provider did not start"
            settings = tmp_path_factory.mktemp("oidc") / "oidc.toml"
            settings.write_text(
                f'client_id = "ruam"\nclient_secret = "{secret}"\nscope = "openid profile moph"\n'
                f'metadata_url = "{issuer}/.well-known/openid-configuration"\n'
                f'public_url = "http://127.0.0.1:{port}"\n'
            )
            settings.chmod(0o600)
            with served(published_home, port, RUAM_OIDC_FILE=str(settings)) as base:
                yield base
        finally:
            provider.terminate()


def sign_in(page: Page, person: str) -> None:
    """Through the sign-in page and the provider's own pages."""
    page.locator("a.go").click()
    page.locator("input[name=login]").fill(person)
    page.locator("input[name=password]").fill("any will do")
    page.locator("button[type=submit]").click()
    page.locator("button[autofocus]").click()  # Consent.


def title(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text, timeout=WAIT_MILLISECONDS)


def test_a_deep_link_survives_signing_in_and_a_copied_cookie_does_not_survive_signing_out(
    browser: Browser, ruam: str, published_home: Path
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    answer = page.goto(f"{ruam}/rollout?region=04&lang=en")
    assert answer is not None
    assert answer.status == 401
    sign_in(page, "analyst4")
    page.wait_for_url(f"{ruam}/rollout?region=04&lang=en", timeout=WAIT_MILLISECONDS)
    title(page, "Rollout of treatment anywhere")
    expect(page.get_by_role("combobox", name="Health region")).to_have_value(
        "Health Region 4", timeout=WAIT_MILLISECONDS
    )

    # The browser holds a token, and nothing of the person.
    copied = context.cookies()
    held = {cookie["name"]: cookie for cookie in copied}
    assert held["ruam_session"]["httpOnly"]
    assert held["ruam_session"]["sameSite"] == "Lax"
    assert not any(name.startswith("_streamlit_user") for name in held)
    assert context.request.get(f"{ruam}/_stcore/host-config").status == 200

    page.get_by_role("button", name="นักวิเคราะห์ เขตสี่").click(timeout=WAIT_MILLISECONDS)
    expect(page.get_by_text("Area: Health region 04")).to_be_visible(timeout=WAIT_MILLISECONDS)
    page.get_by_role("button", name="Sign out").click()
    page.locator("button[name=logout]").click(timeout=WAIT_MILLISECONDS)  # The provider asks.
    page.wait_for_url(f"{ruam}/", timeout=WAIT_MILLISECONDS)
    title(page, "เข้าสู่ระบบ")
    context.close()

    thief = browser.new_context()
    thief.add_cookies([{"name": one["name"], "value": one["value"], "url": ruam} for one in copied])
    replayed = thief.request.get(f"{ruam}/utilization")
    assert replayed.status == 401
    assert thief.request.get(f"{ruam}/_stcore/host-config").status == 401
    assert is_refused_a_socket(thief, ruam)
    thief.close()
    log = AuditLog(DataHome(published_home))
    (out,) = log.newest(1, {"event": "logout"})
    subject = {"subject": str(out["subject"])}
    assert [entry["event"] for entry in log.newest(9, subject)] == ["logout", "view", "login"]
    assert log.newest(1, subject | {"event": "view"})[0]["filters"] == {"lang": "en", "region": "04"}
    assert log.problems() == []


def is_refused_a_socket(context: BrowserContext, address: str) -> bool:
    """Whether the server closes a socket before it opens, asked from a page of the same origin."""
    page = context.new_page()
    page.goto(f"{address}/_stcore/health")
    opened = page.evaluate(
        """address => new Promise(done => {
            const socket = new WebSocket(address);
            socket.onopen = () => done(true);
            socket.onerror = () => done(false);
        })""",
        f"{address.replace('http', 'ws')}/_stcore/stream",
    )
    page.close()
    return not opened


def test_who_has_no_role_is_refused_after_signing_in(browser: Browser, ruam: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{ruam}/?lang=en")
    sign_in(page, "newcomer")
    title(page, "Not open to you (403)")
    expect(page.get_by_text("Your account has no role in Ruam")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert context.request.get(f"{ruam}/").status == 403
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_demo_user_is_chosen_on_a_page_in_both_languages(browser: Browser, demo_address: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(f"{demo_address}/rollout")
    title(page, "เลือกผู้ใช้สาธิต")
    page.get_by_role("link", name="English").click()
    title(page, "Choose a demo user")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Data steward").click()
    page.wait_for_url(f"{demo_address}/rollout?lang=en", timeout=WAIT_MILLISECONDS)
    title(page, "Rollout of treatment anywhere")
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_the_officer_looks_at_the_log(browser: Browser, demo_address: str, width: int) -> None:
    context = demo_context(browser, demo_address, "data_protection_officer", width)
    page = context.new_page()
    page.goto(f"{demo_address}/audit")
    title(page, "บันทึกการเข้าถึงข้อมูล")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=WAIT_MILLISECONDS)
    page.get_by_role("button", name="ตรวจสอบบันทึกทั้งหมด").click()
    expect(page.get_by_text("ทุกบรรทัดตรงกับที่บันทึกไว้")).to_be_visible(timeout=WAIT_MILLISECONDS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_a_table_leaves_by_a_button_that_is_recorded(browser: Browser, demo_address: str, demo_home: Path) -> None:
    context = demo_context(browser, demo_address, "executive")
    page = context.new_page()
    page.goto(f"{demo_address}/?area=R04&lang=en")
    title(page, "Overview of care")
    page.get_by_role("button", name="Data table").first.click(timeout=WAIT_MILLISECONDS)
    with page.expect_download(timeout=WAIT_MILLISECONDS) as started:
        page.get_by_role("button", name="CSV").click()
    content = Path(started.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        (table,) = (package.read(name) for name in package.namelist() if name.endswith(".csv"))
    assert table.startswith(b"\xef\xbb\xbf")
    (export,) = AuditLog(DataHome(demo_home)).newest(1, {"event": "export"})
    assert export["sha256"] == hashlib.sha256(content).hexdigest()
    assert export["rows"] == table.decode().count("\n") - 1 == 12
    assert (export["page"], export["filters"]) == ("overview", {"area": "R04", "lang": "en"})
    # The file's address alone opens nothing.
    stranger = browser.new_context()
    assert stranger.request.get(started.value.url).status == 401
    stranger.close()
    context.close()


def test_two_users_of_one_server_see_each_their_own_area(browser: Browser, demo_address: str) -> None:
    """SEC-6: the second asks, by the same address, for what the first was just shown."""
    seen = {}
    for user in ("analyst", "regional_analyst"):
        context = demo_context(browser, demo_address, user)
        page = context.new_page()
        page.goto(f"{demo_address}/utilization?area=R05&lang=en")
        title(page, "Utilization of care")
        box = page.get_by_role("combobox", name="Area")
        expect(box).not_to_have_value("", timeout=WAIT_MILLISECONDS)
        seen[user] = box.input_value()
        context.close()
    assert seen == {"analyst": "Health Region 5", "regional_analyst": "Thailand"}
