"""The page in a real browser: no complaints, keys that work, a filter, both widths, both colour schemes, and axe."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from structgrad.repro.planning.paths import results

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
WIDTHS = (1440, 390)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
expect = playwright.expect  # waits for what a page comes to, some seconds at most, as a busy machine needs
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine (apt install chromium)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the driver's pipes, which it closes late
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield started
        started.close()


class Visit:
    """A page that is open, and what the browser complained about."""

    def __init__(self, browser: Any, file: Path, width: int = 1440, scheme: str = "light", address: str = "") -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.goto(file.as_uri() + address)

    def violations(self) -> list[str]:
        found = axe.Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


@pytest.fixture
def file(finished: Any) -> Path:
    return results(finished.scale) / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_to_complain_about(browser, file, width, scheme):
    visit = Visit(browser, file, width, scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width  # only tables scroll sideways
    visit.page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert visit.violations() == []
    visit.page.locator("a.cell").first.click()
    assert visit.violations() == []
    assert visit.complaints == []
    visit.page.close()


def test_pictures_follow_the_dark(browser, file):
    ground = "getComputedStyle(document.querySelector('.picture svg path')).fill"
    light, dark = (Visit(browser, file, scheme=scheme) for scheme in ("light", "dark"))
    assert light.page.evaluate(ground) == "rgb(255, 255, 255)"
    assert dark.page.evaluate(ground) == "rgb(27, 31, 35)"
    for visit in (light, dark):
        visit.page.close()


def test_the_filter_leaves_what_was_asked_for(browser, file):
    visit = Visit(browser, file)
    page = visit.page
    rows = page.locator("#indelman_1a table.cells").first.locator("tbody tr")
    before = rows.count()
    page.get_by_label("Search").fill("d=5 gumbel")
    assert before > 1
    expect(rows.filter(visible=True)).to_have_count(1)
    expect(rows.filter(visible=True)).to_contain_text("d=5")
    expect(page.locator("#matches")).to_contain_text("of")
    expect(page.locator(".sq:enabled")).to_have_count(2)  # both metrics of one cell
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".sq:disabled")).to_have_count(0)
    page.locator("input[value=misprint]").check()
    expect(page.locator("#indelman_1a")).to_be_hidden()
    assert visit.complaints == []
    page.close()


def test_keys_reach_everything(browser, file):
    visit = Visit(browser, file)
    page = visit.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    first, second = (page.locator(".sq").nth(place) for place in (0, 1))
    first.focus()
    expect(page.locator("#tip")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(second).to_be_focused()
    assert page.locator(".sq[tabindex='0']").count() == page.locator(".squares").count()
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#panel-head")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(second).to_be_focused()  # back to where one was
    assert visit.complaints == []
    page.close()


def test_a_number_has_an_address(browser, file):
    identity = "indelman/1a/d=5/Direct/percent_sequences_perfect"
    visit = Visit(browser, file, address=f"#cell={identity.replace('=', '%3D')}")
    panel = visit.page.locator("#panel")
    expect(panel).to_be_visible()
    said = panel.inner_text()
    for words in ("66.7 %", "3 replicas", "98.5", "Replicas 0 to 2", "structgrad run indelman_1a/", identity):
        assert words in said
    expect(panel.locator("svg.strip")).to_have_count(1)
    visit.page.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    expect(visit.page).not_to_have_url(re.compile("#cell"))
    assert visit.complaints == []
    visit.page.close()


def test_nothing_is_cut_off_on_paper(browser, file):
    visit = Visit(browser, file, width=700)  # A4 between its margins
    visit.page.emulate_media(media="print")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 700
    assert visit.page.evaluate(
        "[...document.querySelectorAll('.scroll')].every(s => s.scrollWidth <= s.clientWidth + 1)"
    )
    visit.page.close()
