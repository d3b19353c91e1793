"""The page in real headless Chromium, used by mouse, by keyboard and by a screen reader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import pages
from tests.support.browser import Watched
from tests.support.recordings import make_recording

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCALE = 58  # pixels at the right of the strip (strip.js)
# The row of the scheduler in the flame view: below two Workers of six rows each, and its head.
SCHEDULE_Y = 22 + 13 * 19 + 9


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    pages.served(folder / "run")
    pages.page_of(folder / "run", folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Watched]:
    watched = pages.opened(browser, file)
    yield watched
    pages.quiet(watched)
    watched.context.close()


@pytest.fixture
def page(opened: Watched) -> Page:
    return opened.page


def modules(page: Page) -> list[str]:
    return pages.names(page.locator("#modules-table [role=treegrid]"))


def test_every_section_is_there_and_reached_from_the_top(page: Page) -> None:
    links = page.locator("header.top nav a").all_inner_texts()
    assert links == [
        "Phases",
        "Findings",
        "Steps",
        "Modules",
        "Ranks",
        "Requests",
        "Processes",
        "Instrumentation",
    ]
    for link in page.locator("header.top nav a").all():
        target = link.get_attribute("href")
        assert page.locator(str(target)).count() == 1
    assert page.title() == "run · autoinstr"
    assert page.locator(".command").inner_text() == "python serve.py"
    facts = page.locator(".facts").inner_text()
    assert (
        "vllm 0.32.0" in facts
        and re.search(r"Processes\s+4", facts)
        and re.search(r"Dropped\s+0", facts)
    )


def test_headers_sort_and_say_so(page: Page) -> None:
    table = page.locator("#modules-table [role=treegrid]")
    tree = modules(page)
    header = table.locator("th", has_text="Total")
    assert header.get_attribute("aria-sort") == "none"
    page.get_by_role("button", name="flat", exact=True).click()
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    cells = table.locator("tbody tr[data-row] td:nth-child(4)")
    exact = [
        int(one.get_attribute("title").replace(",", "").removesuffix(" ns")) for one in cells.all()
    ]  # type: ignore[union-attr]
    assert exact == sorted(exact, reverse=True) and len(exact) == len(tree) == 5
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    table.locator("th", has_text="Module").get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "none"
    assert modules(page) == sorted(modules(page))
    page.get_by_role("button", name="flat", exact=True).click()
    table.locator("th", has_text="Module").get_by_role("button").click()
    table.locator("th", has_text="Module").get_by_role("button").click()
    assert modules(page) == tree


def test_sorting_a_tree_keeps_children_below_their_parents(page: Page) -> None:
    table = page.locator("#modules-table [role=treegrid]")
    table.locator("th", has_text="Self").get_by_role("button").click()
    levels = [
        int(row.get_attribute("aria-level") or 0)
        for row in table.locator("tbody tr[data-row]").all()
    ]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:]))


def test_a_search_keeps_what_is_above_a_match(page: Page) -> None:
    field = page.locator("#modules").get_by_role("searchbox")
    field.fill("MLP")
    assert [one.strip() for one in modules(page)] == ["Model", "model.layers.[0-5]", "mlp"]
    assert page.locator("#modules .toolbar [role=status]").inner_text() == "1 of 5 match"
    field.fill("layers attn")
    assert "attn" in modules(page)[-1]
    field.fill("nowhere")
    assert modules(page) == []
    assert page.locator("#modules .empty").is_visible()
    field.fill("")
    assert len(modules(page)) == 5


def test_phase_tabs_change_the_figures(page: Page) -> None:
    tabs = page.locator("#modules [role=tab]")
    assert tabs.all_inner_texts() == ["all phases", "prefill", "decode"]
    calls = page.locator("#modules-table tbody tr[data-row] td:nth-child(6)").first
    assert calls.inner_text() == "40"
    tabs.nth(1).click()
    assert tabs.nth(1).get_attribute("aria-selected") == "true" and calls.inner_text() == "4"
    tabs.nth(1).press("ArrowRight")
    assert tabs.nth(2).get_attribute("aria-selected") == "true" and calls.inner_text() == "36"
    page.get_by_role("button", name="per step").click()
    assert calls.inner_text() == "1.0"


def test_the_tree_is_used_by_keyboard_alone(page: Page) -> None:
    table = page.locator("#modules-table [role=treegrid]")
    table.focus()
    table.press("ArrowDown")

    def active() -> str:
        chosen = page.locator(f"#{table.get_attribute('aria-activedescendant')}")
        assert chosen.get_attribute("aria-selected") == "true"
        return str(chosen.locator("td").first.inner_text())

    assert active() == "Model"
    assert page.locator("#modules .inspector .path").inner_text() == "Model"
    table.press("ArrowLeft")  # folds
    assert (
        len(modules(page)) == 1
        and page.locator("#modules-table tr[aria-expanded]").get_attribute("aria-expanded")
        == "false"
    )
    table.press("ArrowRight")  # unfolds
    table.press("ArrowRight")  # goes in
    assert active() == "model.layers.[0-5]"
    table.press("End")
    assert active() == "head"
    table.press("ArrowUp")
    assert active() == "mlp"
    assert page.locator("#modules .inspector .path").inner_text() == "model.layers.[0-5].mlp"
    table.press("ArrowLeft")
    assert active() == "model.layers.[0-5]"
    inspector = page.locator("#modules .inspector")
    assert f"slowest {pages.SLOW_LAYER} with" in inspector.inner_text()
    assert inspector.locator("tbody tr").count() == 3


def test_a_step_is_chosen_by_a_click_by_keys_and_by_name(page: Page) -> None:
    slider = page.get_by_role("slider", name="Steps")
    assert re.match(r"step \d+ of 40, prefill, ", slider.get_attribute("aria-valuetext") or "")
    box = slider.locator("canvas").bounding_box()
    assert box is not None
    slider.locator("canvas").click(position={"x": (box["width"] - SCALE) * 14.5 / 40, "y": 90})
    assert (slider.get_attribute("aria-valuetext") or "").startswith("step 14 of 40, decode")
    slider.press("ArrowRight")
    assert page.locator("#steps .stepline strong").inner_text().startswith("step 15 · decode")
    slider.press("Home")
    assert slider.get_attribute("aria-valuenow") == "1"
    slider.press("End")
    assert slider.get_attribute("aria-valuenow") == "40"
    chip = page.get_by_role("button", name=re.compile("^median decode ·"))
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    assert "decode" in page.locator("#steps .stepline strong").inner_text()


def test_the_flame_view_says_what_it_draws_and_zooms(page: Page) -> None:
    view = page.get_by_role("application", name="Ranges of the step")
    said = page.locator("#steps .description [role=status]")
    assert re.match(r"\d+ ranges in 3 threads", said.inner_text())
    view.focus()
    view.press("ArrowDown")
    first = said.inner_text()
    assert "worker.execute_model" in first
    for _ in range(2):
        view.press("ArrowDown")
    assert said.inner_text() != first
    before = view.locator("canvas").screenshot()
    view.press("+")
    assert view.locator("canvas").screenshot() != before
    view.press("0")
    view.press("Escape")
    page.locator("#steps details summary").click()
    table = page.get_by_role("grid", name="Ranges of the step by name")
    table.locator("tr[data-row]").first.wait_for()
    assert pages.names(table)[0] == "worker.execute_model"
    table.locator("th", has_text="Range").get_by_role("button").click()
    table.press("End")
    assert pages.names(table)[-1] == "worker.sample_tokens"
    assert int(table.get_attribute("aria-rowcount") or 0) == 1 + 2 + 2 * (4 + 1 + 3 * pages.LAYERS)
    view.scroll_into_view_if_needed()
    canvas = view.locator("canvas")
    canvas.hover(position={"x": 30, "y": SCHEDULE_Y})
    canvas.hover(position={"x": 32, "y": SCHEDULE_Y})
    assert "sched.schedule" in page.locator("#tip").inner_text()


def test_the_flame_view_is_zoomed_and_panned_by_hand(page: Page) -> None:
    view = page.get_by_role("application", name="Ranges of the step")
    canvas = view.locator("canvas")
    view.scroll_into_view_if_needed()
    whole = canvas.screenshot()
    box = canvas.bounding_box()
    assert box is not None
    canvas.dblclick(
        position={"x": 30, "y": SCHEDULE_Y}
    )  # sched.schedule, a tenth of the step, fills the view
    canvas.hover(position={"x": box["width"] / 2, "y": SCHEDULE_Y})
    assert "sched.schedule" in page.locator("#tip").inner_text()
    zoomed = canvas.screenshot()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 200, box["y"] + SCHEDULE_Y - 5, steps=4)
    page.mouse.up()
    panned = canvas.screenshot()
    page.keyboard.down("Control")
    page.mouse.wheel(0, 3_000)
    page.keyboard.up("Control")
    page.mouse.move(5, 5)
    view.press("Escape")
    page.evaluate("document.activeElement.blur()")  # its outline is drawn over the canvas
    assert len({whole, zoomed, panned}) == 3
    assert canvas.screenshot() == whole
    before = page.evaluate("scrollY")
    canvas.hover(position={"x": 100, "y": 60})
    page.mouse.wheel(0, 120)
    page.wait_for_function(
        "before => scrollY !== before", arg=before
    )  # without a key the page scrolls


def test_ranks_are_compared_and_switched(page: Page) -> None:
    ranks = page.locator("#ranks")
    assert (
        "2 processes with the same module tree; slowest in Model: Worker rank "
        in ranks.locator(".note").inner_text()
    )
    cells = ranks.locator("tbody tr[data-row]").filter(has_text="layers").locator("td")
    choose = ranks.get_by_role("combobox", name="Rank")
    choose.select_option("1")
    lowest, middle, highest, _, slowest, mine = cells.all_inner_texts()[1:7]
    assert slowest == "rank 1" and mine == highest != lowest and middle not in (lowest, highest)
    choose.select_option("0")
    assert cells.all_inner_texts()[6] == lowest
    slider = ranks.get_by_role("slider", name="Rank")
    slider.press("ArrowRight")
    assert cells.all_inner_texts()[6] == highest
    assert "rank 1 of 2" in (slider.get_attribute("aria-valuetext") or "")
    ranks.get_by_role("tab", name="prefill").click()
    assert cells.all_inner_texts()[6] not in (lowest, middle, highest)


def test_requests_sort_and_are_searched(page: Page) -> None:
    table = page.get_by_role("grid", name="Requests")
    assert pages.names(table) == [f"r{at}" for at in range(8)]
    table.locator("th", has_text="End to end").get_by_role("button").click()
    cells = [
        one.get_attribute("title")
        for one in table.locator("tbody tr[data-row] td:nth-child(6)").all()
    ]
    exact = [int(str(one).replace(",", "").removesuffix(" ns")) for one in cells]
    assert exact == sorted(exact, reverse=True)
    page.locator("#requests").get_by_role("searchbox").fill("stop")
    assert pages.names(table) == ["r0"]


def test_a_finding_leads_to_its_row(page: Page) -> None:
    findings = page.locator("#findings li")
    first = findings.filter(has_text=f"model.layers.{pages.SLOW_LAYER} takes").first
    first.get_by_role("button").click()
    selected = page.locator("#modules-table tr[aria-selected=true] td").first
    assert selected.inner_text() == "model.layers.[0-5]"
    assert page.locator("#modules-table [role=treegrid]").evaluate(
        "table => table === document.activeElement"
    )


def test_a_finding_about_a_rank_leads_to_the_comparison(browser: Browser, tmp_path: Path) -> None:
    for rank in range(4):
        calls = [
            (0, "", "Model", 1_000, 11_000 + 9_000 * (rank == 2)),
            (0, "part", "Part", 2_000, 9_000),
        ]
        make_recording(
            str(tmp_path / "run"), calls, pid=10 + rank, header={"rank": rank, "world_size": 4}
        )
    pages.page_of(tmp_path / "run", tmp_path / "report.html")
    watched = pages.opened(browser, tmp_path / "report.html")
    page = watched.page
    page.get_by_role("combobox", name="Rank").select_option("0")
    page.locator("#findings li", has_text="rank 2 of 4").get_by_role("button").click()
    assert page.get_by_role("combobox", name="Rank").input_value() == "2"
    assert page.locator("#ranks tr[aria-selected=true] td").first.inner_text() == "Model"
    assert page.get_by_role("treegrid", name="Modules over ranks").evaluate(
        "table => table === document.activeElement"
    )
    pages.quiet(watched)
    watched.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_against_the_page_in_either_theme(
    browser: Browser, file: Path, scheme: str
) -> None:
    watched = pages.opened(browser, file, color_scheme=scheme)
    watched.page.locator("#modules-table [role=treegrid]").press("ArrowDown")
    watched.page.locator("#steps details summary").click()
    # The policy of the page forbids what is not its own, axe too: it is put in by the debugger's
    # protocol, which no policy holds back.
    assert pages.axe(watched.page) == []
    watched.context.close()


def test_the_theme_follows_the_system_until_the_button_is_pressed(
    browser: Browser, file: Path
) -> None:
    watched = pages.opened(browser, file, color_scheme="dark")
    page = watched.page

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = ground()
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 150
    page.get_by_role("button", name="Switch to the light theme").click()
    assert sum(map(int, re.findall(r"\d+", ground())[:3])) > 600
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert ground() == dark
    pages.quiet(watched)
    watched.context.close()
