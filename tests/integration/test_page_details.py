"""What the page says of a slow step, a request and a module, and that its layout holds, in real
headless Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import pages
from tests.support.busy_server import write_busy_server
from tests.support.kineto import Trace
from tests.unit.test_device_times import run_of as write_run
from tests.unit.test_page_device import add_kernels

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MODULES = 30
# Texts that stick out of their box: a box that does not clip or scroll them must contain them.
FIND_ESCAPED_TEXTS = """() => {
    const escaped = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const boxes = "button, td, th, .card, .flame, .notice, .findings, .facts div, main";
    while (walker.nextNode()) {
        const text = walker.currentNode;
        if (!text.data.trim() || !text.parentElement.checkVisibility()) continue;
        if (text.parentElement.closest("script, style, .visually-hidden, .skip")) continue;
        const range = document.createRange();
        range.selectNodeContents(text);
        const drawn = range.getBoundingClientRect();
        for (let box = text.parentElement; box; box = box.parentElement) {
            const { overflowX } = getComputedStyle(box);
            if (overflowX !== "visible") break;
            if (!box.matches(boxes)) continue;
            const { left, right } = box.getBoundingClientRect();
            if (drawn.left < left - 1 || drawn.right > right + 1) {
                escaped.push(`${text.data.trim().slice(0, 60)} in ${box.outerHTML.slice(0, 80)}`);
                break;
            }
        }
    }
    return escaped;
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("details")
    write_busy_server(folder / "run", requests=64, classes=MODULES)
    pages.page_of(folder / "run", folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    watched = pages.opened(browser, file)
    watched.page.set_default_timeout(10_000)
    yield watched.page
    pages.quiet(watched)
    watched.context.close()


def test_the_slowest_step_says_why(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^slowest decode")).click()
    reasons = page.locator("#steps .reasons")
    assert "+7.60 µs against the median decode step: +7.60 µs execute." in reasons.inner_text()
    rows = reasons.locator("tbody tr")
    assert rows.first.inner_text().split("\t")[:2] == ["model.part.3", "+7.60 µs"]
    rows.first.get_by_role("button").click()
    assert "model.part.3" in page.locator("#steps .description [role=status]").inner_text()
    reasons.get_by_role("button", name="median decode step").click()
    strong = page.locator("#steps .stepline strong").inner_text()
    assert "decode · 100 µs" in strong and reasons.inner_text() == ""


def test_every_phase_card_has_the_rest(page: Page) -> None:
    cards = page.locator("#phases .card", has=page.locator(".stack"))
    assert cards.count() == 2
    for card in cards.all():
        parts = dict(line.inner_text().split("\n") for line in card.locator(".parts .line").all())
        assert list(parts) == ["schedule", "execute", "sample", "update", "the rest"]
        assert parts["the rest"] == "35.0 µs"


def test_a_request_shows_its_split_and_its_steps(page: Page) -> None:
    strip = page.get_by_role("slider", name="Steps").locator("canvas")
    before = strip.screenshot()
    page.locator("#requests tr[data-row]", has_text="r7").first.locator("td").first.click()
    detail = page.locator("#requests tr.detail")
    split = detail.get_by_role("list", name="How its time divides").inner_text()
    assert re.match(r"queue 598 ns .*\nprefill 98\.0 µs .*\ndecode 2\.09 ms .*\nfront end ", split)
    assert "It took part in 20 steps: 3 prefill (300 µs), 17 decode (1.71 ms)." in (
        detail.inner_text()
    )
    highlight = page.locator("#steps .highlight")
    assert highlight.inner_text().startswith("The 20 steps of request r7: marked blue.")
    page.mouse.move(5, 5)
    assert strip.screenshot() != before
    detail.get_by_role("button", name=re.compile("^step 19 ")).click()
    assert page.locator("#steps .stepline strong").inner_text().startswith("step 19 ·")
    highlight.get_by_role("button", name="Clear").click()
    assert highlight.is_hidden()


def test_a_table_of_29_rows_does_not_scroll_inside(page: Page) -> None:
    scroller = page.locator("#modules-table .scroller")
    assert page.locator("#modules .toolbar [role=status]").inner_text() == f"{MODULES + 1} rows"
    heights = scroller.evaluate("element => [element.scrollHeight, element.clientHeight]")
    assert heights[0] == heights[1] > 29 * 26


def test_details_stand_below_their_row_and_lead_to_a_step(page: Page) -> None:
    row = page.locator("#modules-table tr[data-row]", has_text="Part3").first
    row.locator("td").first.click()
    detail = page.locator("#modules-table tr.detail")
    row_above = detail.evaluate("element => element.previousElementSibling.dataset.row")
    assert row_above == row.get_attribute("data-row")
    boxes = row.bounding_box(), detail.bounding_box()
    assert boxes[0] is not None and boxes[1] is not None
    assert abs(boxes[0]["y"] + boxes[0]["height"] - boxes[1]["y"]) < 2
    detail.get_by_role("button", name="step 19 (decode)").click()
    assert page.locator("#steps .stepline strong").inner_text().startswith("step 19 ·")
    assert "model.part.3" in page.locator("#steps .description [role=status]").inner_text()
    row.locator("td").first.click()  # a second click closes them
    assert detail.count() == 0


def test_kernels_of_a_joined_profile_have_a_lane(browser: Browser, tmp_path: Path) -> None:
    trace = Trace()
    add_kernels(trace)
    product = next(event for event in trace.events if event["name"] == "aten::mm")
    product["args"]["Input Dims"] = [[1_000, 1_000], [1_000, 1_000]]
    run = write_run(tmp_path / "run")
    trace.write(run / "rank0.pt.trace.json")
    pages.page_of(run, tmp_path / "report.html")
    watched = pages.opened(browser, tmp_path / "report.html", color_scheme="dark")
    page = watched.page
    heads = page.locator("#steps .lane-heads button").all_inner_texts()
    assert [head.split(" · ")[1] for head in heads] == [
        "thread-0",
        "device 0, stream 7",
        "device 0, stream 9",
    ]
    assert "2 ranges in 1 thread, 3 kernels" in page.locator("#steps .description").inner_text()
    legend = page.locator("#steps .classes").inner_text()
    assert "Linear" in legend and "kernel" in legend
    view = page.get_by_role("application", name="Ranges of the step")
    view.focus()
    for _ in range(3):
        view.press("ArrowDown")
    status = page.locator("#steps .description [role=status]").inner_text()
    assert status.startswith("gemm<int, 4> · Linear · fc · 700 ns")
    page.locator("#modules-table tr[data-row]", has_text="fc").first.locator("td").first.click()
    device = page.locator("#modules-table tr.detail [aria-label='Device time by phase']")
    assert "1.10 µs" in device.inner_text() and "launched in its calls" in device.inner_text()
    limits = page.locator("#modules-table tr.detail [aria-label='What limits it']")
    assert "GFLOP" in limits.inner_text() and "2.00" in limits.inner_text()
    cells = page.locator("#modules-table tr[data-row]", has_text="fc").first.locator("td")
    assert "2.00" in cells.all_inner_texts()
    page.screenshot(path=tmp_path / "device.png", full_page=True)
    pages.quiet(watched)
    watched.context.close()


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_the_layout_holds_at_every_width(
    browser: Browser, file: Path, width: int, tmp_path: Path
) -> None:
    """The folder of the test has pictures, for people to look at."""
    for scheme in ("light", "dark"):
        watched = pages.opened(
            browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page = watched.page
        page.locator("#modules-table tr[data-row] td").first.click()
        page.locator("#requests tr[data-row] td").first.click()
        page.get_by_role("button", name=re.compile("^slowest decode")).click()
        page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(FIND_ESCAPED_TEXTS) == []
        name = page.locator("#modules-table th.name").bounding_box()
        assert name is not None and name["width"] >= min(220, 0.4 * width)
        pages.quiet(watched)
        watched.context.close()
