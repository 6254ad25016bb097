"""Pages look as they did when they were last looked at; `make screenshots` keeps what they look like now."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, expect

from tests.dashboards.pictures import keep, share_that_differs, shrunk
from tests.dashboards.servers import demo_context
from tests.dashboards.test_browser import PAGES, WAIT_MILLISECONDS, wait_for_page

KEPT = Path(__file__).with_name("screenshots")
LOOKED_AT = ("overview", "utilization", "rollout")
MOST = 0.02
"""Of the pixels. Another version of a font moves less; a chart, a card or a line of text that is gone moves more."""
MOST_BYTES = 100_000


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("width", [1440, 390])
def test_a_page_looks_as_it_was_kept(browser: Browser, demo_address: str, name: str, width: int) -> None:
    thai, _, n_charts = PAGES[name]
    context = demo_context(browser, demo_address, "analyst", width)
    page = context.new_page()
    page.goto(f"{demo_address}/{'' if name == 'overview' else name}")
    wait_for_page(page, thai, n_charts)
    expect(page.locator("[data-stale=true]")).to_have_count(0, timeout=WAIT_MILLISECONDS)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WAIT_MILLISECONDS)
    page.evaluate("document.fonts.ready.then(() => true)")
    found = shrunk(page.screenshot(animations="disabled"))
    context.close()
    path = KEPT / f"{name}-{width}.png"
    if os.environ.get("RUAM_KEEP_SCREENSHOTS"):
        keep(found, path)
    assert path.exists(), f"{path.name} was never kept: `make screenshots`, and look at it"
    differs = share_that_differs(Image.open(path), found)
    if differs > MOST:
        found.save(path.with_suffix(".new.png"))
    assert differs <= MOST, f"{differs:.1%} of {path.name} differ: compare it with {path.stem}.new.png beside it"


def test_kept_pictures_are_small_and_of_pages_that_are_looked_at() -> None:
    kept = {path.name: path.stat().st_size for path in KEPT.glob("*.png") if not path.name.endswith(".new.png")}
    assert kept.keys() == {f"{name}-{width}.png" for name in LOOKED_AT for width in (1440, 390)}
    assert max(kept.values()) < MOST_BYTES


def png_of(picture: Image.Image) -> bytes:
    content = BytesIO()
    picture.save(content, "png")
    return content.getvalue()


def page_with(*boxes: tuple[int, int, int, int], text_at: float = 40.0) -> bytes:
    """A page of 1440 by 900 with dark boxes and lines of text."""
    picture = Image.new("RGB", (1440, 900), "white")
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        draw.rectangle(box, fill="#12436D")
    for line in range(20):
        draw.text((60, text_at + 40 * line), "visits of a health region in a month " * 3, fill="#1F2933", font_size=16)
    return png_of(picture)


def test_letters_a_pixel_aside_are_the_same_page_and_a_chart_that_is_gone_is_not(tmp_path: Path) -> None:
    chart = (800, 300, 1100, 600)
    keep(shrunk(page_with(chart)), tmp_path / "kept.png")
    kept = Image.open(tmp_path / "kept.png")
    assert share_that_differs(kept, shrunk(page_with(chart))) == 0
    assert share_that_differs(kept, shrunk(page_with(chart, text_at=41))) <= MOST
    assert share_that_differs(kept, shrunk(page_with())) > MOST
    assert share_that_differs(kept, kept.crop((0, 0, 9, 9))) == 1
