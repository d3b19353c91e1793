"""The flame view of a busy server in real headless Chromium: lanes, requests, colors, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import pages
from tests.support.browser import Watched
from tests.support.busy_server import write_busy_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

REQUESTS, CLASSES = 64, 30
# Keep what canvases draw: the texts, and the colors of boxes.
SPY = """
    window.drawnTexts = [];
    window.drawnColors = new Set();
    const { fillText, fillRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        window.drawnTexts.push(text);
        return fillText.call(this, text, ...rest);
    };
    CanvasRenderingContext2D.prototype.fillRect = function (...box) {
        window.drawnColors.add(this.fillStyle);
        return fillRect.apply(this, box);
    };
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("busy")
    write_busy_server(folder / "run", requests=REQUESTS, classes=CLASSES)
    pages.page_of(folder / "run", folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def watched(browser: Browser, file: Path) -> Iterator[Watched]:
    context = {"viewport": {"width": 1440, "height": 900}, "offline": True}
    opened = Watched(browser, **context)
    opened.page.set_default_timeout(10_000)
    opened.page.add_init_script(SPY)
    opened.page.goto(file.as_uri())
    yield opened
    pages.quiet(opened)
    opened.context.close()


@pytest.fixture
def page(watched: Watched) -> Page:
    watched.page.reload()
    watched.requests[1:] = []
    return watched.page


def list_heads(page: Page) -> list[str]:
    texts: list[str] = page.locator("#steps .lane-heads button").all_inner_texts()
    return texts


def read_legend(page: Page) -> dict[str, str]:
    """Return class -> color of its swatch."""
    more = page.locator("#steps .classes button")
    if more.count():
        more.click()
    items = page.locator("#steps .classes li")
    colors: dict[str, str] = {}
    for item in items.all():
        color = item.locator(".swatch").evaluate(
            "element => getComputedStyle(element).backgroundColor"
        )
        colors[item.inner_text().strip()] = color
    return colors


def select_step(page: Page, name: str) -> Locator:
    page.get_by_role("button", name=re.compile(f"^{name} ·")).click()
    return page.locator("#steps .stepline strong")


def test_the_worker_stands_above_the_requests(page: Page) -> None:
    heads = list_heads(page)
    assert [head.split(",")[0].split(" rank")[0] for head in heads] == [
        "Worker",
        "EngineCore",
        "EngineCore",
        "APIServer",
    ]
    tops = [button.bounding_box() for button in page.locator("#steps .lane-heads button").all()]
    ys = [box["y"] for box in tops if box is not None]
    assert len(ys) == 4 and ys == sorted(ys)
    box = page.locator("#steps .flame .view").bounding_box()
    assert box is not None and ys[0] - box["y"] < 60  # in sight without scrolling


@pytest.mark.parametrize("kind", ["median decode", "slowest decode", "median prefill"])
def test_a_step_of_many_requests_fits_into_its_box(page: Page, kind: str) -> None:
    select_step(page, kind)
    sizes = page.locator("#steps .flame .view").evaluate(
        "view => [view.scrollHeight, view.clientHeight]"
    )
    assert sizes[0] <= sizes[1] < 600


def test_ranges_as_long_as_a_request_are_one_row(page: Page) -> None:
    select_step(page, "median decode")
    status = page.locator("#steps .description [role=status]")
    assert f", {REQUESTS} requests, " in status.inner_text()
    assert f"{REQUESTS} requests" in page.evaluate("drawnTexts")
    view = page.get_by_role("application", name="Ranges of the step")
    canvas = view.locator("canvas")
    box = canvas.bounding_box()
    assert box is not None
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": 300, "y": box["height"] - 14})
    canvas.hover(position={"x": 302, "y": box["height"] - 14})
    tip = page.locator("#tip").inner_text()
    assert f"api.completion {REQUESTS}, async_llm.generate {REQUESTS}" in tip
    # the table of the step has them still
    page.locator("#steps details summary").click()
    table = page.get_by_role("grid", name="Ranges of the step by name")
    row = table.locator("tr[data-row]", has_text="api.completion")
    assert row.locator("td").nth(3).inner_text() == str(REQUESTS)


def test_a_class_has_one_color_in_all_steps_and_shares_it_with_no_other(page: Page) -> None:
    legends = []
    for kind in ("median decode", "slowest decode", "median prefill"):
        select_step(page, kind)
        legend = read_legend(page)
        classes = {name for name in legend if name.startswith("Part")}
        assert len(classes) == CLASSES - 1  # one rests in each step
        assert len(set(legend.values())) == len(legend)
        legends.append(legend)
    assert len({frozenset(legend) for legend in legends}) > 1  # other classes are visible
    for legend in legends[1:]:
        for name in legend.keys() & legends[0].keys():
            assert legend[name] == legends[0][name], name
    # the boxes have the colors of the legend
    drawn = set(page.evaluate("[...drawnColors]"))
    to_canvas = """colors => colors.map((color) => {
        const context = document.createElement("canvas").getContext("2d");
        context.fillStyle = color;
        return context.fillStyle;
    })"""
    assert set(page.evaluate(to_canvas, list(legends[0].values()))) <= drawn


def test_names_are_full(page: Page) -> None:
    texts = set(page.evaluate("drawnTexts"))
    assert {"exec.execute_model.mp", "worker.execute_model", "engine.busy"} <= texts
    assert not texts & {"mp", "execute_model", "busy"}


def test_a_thread_is_folded_by_its_head(page: Page) -> None:
    canvas = page.locator("#steps .flame canvas")
    height = canvas.bounding_box()
    head = page.locator("#steps .lane-heads button").first
    assert head.get_attribute("aria-expanded") == "true"
    head.click()
    folded = canvas.bounding_box()
    assert height is not None and folded is not None and folded["height"] < height["height"] - 50
    assert head.get_attribute("aria-expanded") == "false"
    assert re.search(r"· \d+ ranges$", head.inner_text())
    assert head.evaluate("element => element === document.activeElement")
    select_step(page, "median prefill")  # the decision stays
    assert head.get_attribute("aria-expanded") == "false"
    head.click()
    assert head.get_attribute("aria-expanded") == "true"
