"""The static pages of the commands in a real browser: nothing runs, nothing is fetched, everything fits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from lsats_dagster_tests.cli.aids import environment, in_process
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.hubs import FEW_HUB, FEW_STREAMS, FEW_TABLES

pytestmark = pytest.mark.ui

HOSTILE = "</td><script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"
LONG = "x" * 3000
# A4 across, without its margins, in CSS pixels.
PAPER: ViewportSize = {"width": 1032, "height": 703}


@pytest.fixture
def pages(emptied_database: Callable[[], str], tmp_path: Path) -> dict[str, Path]:
    """Title -> the file of a page, over a hub whose texts are as bad as sources may have them."""
    url = emptied_database()
    world = World(url, FEW_TABLES, FEW_STREAMS)
    world.apply(Change("umich_api/department", "100001", "DeptDescription", HOSTILE))
    for stream in ("tdx/department", "tdx/department_detail"):
        said = {"Code": "100001", "Name": "A name of its own", "Notes": LONG}
        world.apply(*(Change(stream, "1", field, value) for field, value in said.items()))
        world.apply(Change(stream, "2", "ParentID", 999))
    world.read_all()
    world.refresh_all()
    world.dispose()
    variables = environment(tmp_path, DATABASE_URL=url)
    made = {}
    for title, words in {
        "silver/departments 100001": ("explain", "department", "100001"),
        "LSATS data hub": ("report",),
    }.items():
        made[title] = tmp_path / f"{words[0]}.html"
        done = in_process(*words, "--html", str(made[title]), folder=tmp_path, variables=variables, hub=FEW_HUB)
        assert done.returncode == 0, done.stderr
    return made


def opened(browser: Browser, path: Path, complaints: list[str]) -> Page:
    """The page in a new tab of a small screen; what the browser complains of or asks for is noted."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: request.url != path.as_uri() and complaints.append(request.url))
    tab.goto(path.as_uri())
    return tab


def test_pages_are_quiet_and_fit(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    for title, path in pages.items():
        complaints: list[str] = []
        tab = opened(browser, path, complaints)
        assert tab.title() == title
        assert tab.locator("script, img, link, iframe").count() == 0
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1280, title
        for found in tab.get_by_role("table").all():
            columns = found.get_by_role("columnheader").count()
            rows = found.locator("tbody tr")
            assert rows.count() > 0
            assert {row.locator("td").count() for row in rows.all()} == {columns}
        tab.screenshot(path=tmp_path / f"{path.stem}.png", full_page=True)
        tab.emulate_media(media="print")
        tab.set_viewport_size(PAPER)
        assert tab.evaluate("document.documentElement.scrollWidth") <= PAPER["width"], title
        tab.close()
        assert complaints == [], title


def test_texts_of_sources_are_shown_and_not_run(browser: Browser, pages: dict[str, Path]) -> None:
    tab = opened(browser, pages["silver/departments 100001"], [])
    row = tab.get_by_role("row").filter(has=tab.get_by_role("cell", name="department_name", exact=True))
    assert row.get_by_role("cell").nth(1).inner_text() == HOSTILE
    assert "tdx: A name of its own" in row.inner_text()
    assert LONG in tab.locator("body").inner_text()
    headings = tab.get_by_role("heading").all_inner_texts()
    assert headings[:4] == ["silver/departments 100001", "Flags", "Values", "How it was joined"]
    tab.close()


def test_the_report_answers_its_findings(browser: Browser, pages: dict[str, Path]) -> None:
    tab = opened(browser, pages["LSATS data hub"], [])
    findings = tab.get_by_role("table").first
    assert "lsats verify silver/tdx_departments" in findings.locator("code").all_inner_texts()
    assert tab.get_by_role("heading").all_inner_texts()[1:] == [
        "What needs an answer", "Sources", "Silver tables", "Quality", "Conservation", "Agreement of sources",
    ]  # fmt: skip
    tab.close()
