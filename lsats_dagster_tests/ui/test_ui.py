"""What a person sees and does in Dagster's UI over the demo data, in a real browser."""

import os
import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, FloatRect, Locator, Page, expect

from lsats_dagster.definitions import build_definitions
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import serving
from lsats_dagster_tests.ui.conftest import VIEWPORT

pytestmark = pytest.mark.ui

PICTURE = REPOSITORY / "docs" / "images" / "lineage.png"
# From the click to the end of the run: the daemon takes it from the queue and starts a process for it.
RUN_MILLISECONDS = 120_000
# Every box of the lineage graph in one look, because the graph moves while it finds its place.
BOXES = """graph => [...graph.querySelectorAll("foreignObject")].map(box => {
    const { left, right, top, bottom } = box.getBoundingClientRect();
    return { left, right, top, bottom, text: box.firstElementChild?.innerText.trim() ?? "" };
})"""
LARGE_ENOUGH = "Latest event"
# Pixels that an asset and the gap below it take in full size.
ROW = 260
MARGIN = 30

Box = dict[str, Any]


def defined_groups() -> dict[str, list[str]]:
    """Group -> names of its assets as the graph shows them, by the definitions."""
    groups: dict[str, list[str]] = {}
    for node in build_definitions().resolve_asset_graph().asset_nodes:
        groups.setdefault(node.group_name, []).append(node.key.path[-1])
    return {group: sorted(names) for group, names in groups.items()}


def inside(box: Box, frame: Box) -> bool:
    x, y = (box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2
    return bool(frame["left"] < x < frame["right"] and frame["top"] < y < frame["bottom"])


def shown_groups(boxes: list[Box]) -> dict[str, list[str]]:
    """Group -> names of the assets that are drawn within its frame."""
    frames = [box for box in boxes if not box["text"]]
    assets = [box for box in boxes if LARGE_ENOUGH in box["text"]]
    titles = [box for box in boxes if box["text"] and box not in assets]
    return {
        title["text"]: sorted(asset["text"].splitlines()[0] for asset in assets if inside(asset, frame))
        for frame in frames
        for title in titles
        if inside(title, frame)
    }


def around(boxes: list[Box]) -> FloatRect:
    """All of the graph, with a margin."""
    left, top = (min(box[side] for box in boxes) - MARGIN for side in ("left", "top"))
    right, bottom = (max(box[side] for box in boxes) + MARGIN for side in ("right", "bottom"))
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def settled(graph: Locator) -> list[Box]:
    """The boxes of the graph once they have stopped moving; what they say of the time goes on."""
    before: list[Box] = []
    for _ in range(60):
        boxes: list[Box] = graph.evaluate(BOXES)
        places = [box | {"text": ""} for box in boxes]
        if places == before:
            return boxes
        before = places
        graph.page.wait_for_timeout(500)
    raise AssertionError("the lineage graph does not come to rest")


def expect_success(page: Page) -> None:
    """The run that this page shows ends, and ends well."""
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    end = page.get_by_text(re.compile(r"^(Success|Failure|Canceled)$")).first
    expect(end).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(end).to_have_text("Success")


def expect_metadata(page: Page, **figures: str) -> None:
    """The run's last materialization shows these figures of ours, each as a pattern."""
    page.get_by_placeholder("Filter…").fill("type:ASSET_MATERIALIZATION")
    for name, pattern in figures.items():
        row = page.get_by_role("row").filter(has=page.get_by_text(f"lsats/{name}", exact=True)).last
        expect(row.get_by_role("cell").last).to_have_text(re.compile(f"^{pattern}$"))


def test_lineage_shows_the_assets_in_their_groups(page: Page, tmp_path: Path) -> None:
    groups = defined_groups()
    count = sum(len(names) for names in groups.values())
    # Dagster draws what is in sight, and figures only where boxes are large.
    page.set_viewport_size({"width": 2 * VIEWPORT["width"], "height": max(VIEWPORT["height"], count * ROW)})
    page.goto("asset-groups")
    graph = page.locator("svg").filter(has_text="silver_entities")
    for group in groups:
        expect(graph.get_by_text(group, exact=True).first).to_be_visible()
    page.get_by_role("button", name="Hide navigation").click()
    page.get_by_role("button", name="panel_show_right", exact=True).click()
    expect(page.get_by_role("combobox", name="Jump to…")).to_be_hidden()
    page.keyboard.press("Alt+KeyE")  # expands all groups

    expect(graph.get_by_text(LARGE_ENOUGH)).to_have_count(count)
    # The sensor of exports may read what lies there just now.
    expect(graph.get_by_text("Materialized", exact=True)).to_have_count(count, timeout=RUN_MILLISECONDS)
    expect(graph.get_by_text(re.compile(r"^(\d+) / \1 Passed$"))).to_have_count(count, timeout=RUN_MILLISECONDS)
    boxes = settled(graph)
    assert shown_groups(boxes) == groups
    path = PICTURE if os.environ.get("UPDATE_SCREENSHOT") == "1" else tmp_path / PICTURE.name
    page.screenshot(path=path, clip=around(boxes))


def test_materializing_an_asset_ends_in_success_and_shows_its_figures(page: Page) -> None:
    page.goto("assets/silver/departments")
    page.get_by_role("button", name=re.compile("Materialize$")).click()
    page.get_by_role("region", name="Notifications").get_by_role("link", name="View").click()

    expect_success(page)
    expect_metadata(
        page, processed=r"\d+", quality_mean=r"0\.\d+", mode="incremental", ingestion_run_id="[0-9a-f-]{36}"
    )


def test_backfill_from_its_launchpad_ends_in_success(page: Page) -> None:
    page.goto("locations/lsats_dagster/jobs/tdx_backfill/playground")
    page.get_by_text("dry_run:").first.click()
    page.keyboard.press("Control+KeyA")
    page.keyboard.insert_text("full: true")
    # Dagster has checked the new text when it offers to fill in what the text leaves out.
    expect(page.get_by_role("button", name="Scaffold all default config")).to_be_enabled()
    expect(page.get_by_text("No errors")).to_be_visible()
    page.get_by_role("button", name="Launch Run").click()

    expect_success(page)
    # The last is a silver table: the switch of the launchpad has reached it.
    expect_metadata(page, processed=r"[1-9]\d*", skipped=r"[1-9]\d*", mode="full")


# What a page of another origin can ask for, even if it knows the secret part: as a simple request, as a form, by websocket.
ATTACKS = """async ui => {
    const change = 'mutation { setConcurrencyLimit(concurrencyKey: "attacked", limit: 1) }';
    const query = new URLSearchParams({ query: change });
    const simple = { mode: "no-cors", credentials: "include" };
    await fetch(`${ui}/graphql?${query}`, simple);
    await fetch(`${ui}/graphql?${query}`, { ...simple, method: "POST", body: query });
    await fetch(`${ui}/graphql`, { ...simple, method: "POST", body: JSON.stringify({ query: change }) });
    await fetch(`${ui}/report_asset_materialization/attacked`, { ...simple, method: "POST" });
    const json = { "Content-Type": "application/json" };
    const read = await fetch(`${ui}/graphql`, { method: "POST", headers: json, body: JSON.stringify({ query: change }) })
        .then(() => "read", () => "kept");
    const socket = await new Promise(end => {
        const opened = new WebSocket(`${ui.replace("http", "ws")}/graphql`, "graphql-ws");
        opened.onopen = () => end("opened");
        opened.onerror = () => end("kept");
    });
    return { read, socket };
}"""
CHANGED = """async ui => {
    const query = `{
        instance { concurrencyLimits { concurrencyKey } }
        assetsOrError { ... on AssetConnection { nodes { key { path } } } }
    }`;
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${ui}/graphql`, { method: "POST", headers, body: JSON.stringify({ query }) });
    return await answer.text();
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_a_page_of_another_origin_changes_nothing_reads_nothing_and_frames_nothing(
    context: BrowserContext, page: Page, dagster_url: str, tmp_path: Path
) -> None:
    """It stands on another port of the same host, which for a browser is the same site."""
    foreign = context.new_page()
    (tmp_path / "index.html").write_text(f'<iframe src="{dagster_url}/runs"></iframe>')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server, serving(server):
        foreign.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        assert foreign.evaluate(ATTACKS, dagster_url) == {"read": "kept", "socket": "kept"}
        # What the browser shows in place of a page that may not be framed has an address of its own.
        assert [frame.url for frame in foreign.frames[1:]] == ["chrome-error://chromewebdata/"]
    page.goto("runs")
    answer = page.evaluate(CHANGED, dagster_url)
    assert "departments" in answer
    assert "attacked" not in answer
