"""Test the page of `autoinstr diff` in a real headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from autoinstr.diff import page as diff_page
from autoinstr.diff.comparison import compare_runs
from autoinstr.diff.gate import judge
from tests.support import pages
from tests.support.browser import Watched
from tests.support.report_fakes import Event, FakeRecording, run_of
from tests.unit.test_diff import model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = (
    "</script><script>document.title='harmed'</script>",
    "<img src=x onerror=\"document.title='harmed'\">",
    "quotes \" and ' and `",
    "two\nlines\tand a tab",
    "\u202eright to left",
    "עברית",
    "x" * 4096,
)


def write(file: Path, a: Any, b: Any, above: float | None = None) -> None:
    found = compare_runs(run_of(*a), run_of(*b))
    with open(file, "w", encoding="utf-8") as stream:
        diff_page.write_page(
            found, stream, above, judge(found, above) if above is not None else None
        )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of two runs with two phases.

    In decode, layer 5 of B takes three times as long. B has more layers, and A has a module that B
    lacks.
    """
    a, b = (
        model(40, layers=8, phase="decode"),
        model(40, layers=10, slow={5: 3.0}, phase="decode", seed=2),
    )
    gone = [
        Event(at.start + 20, at.start + 30, "model.norm", "Norm") for at in a.events if not at.path
    ]
    versions: dict[str, Any] = {"versions": {"python": "3.11.7", "torch": "2.13.0"}}
    a = FakeRecording([*a.events, *gone], **versions)
    prefill = [model(8, layers=8, phase="prefill", pid=5, seed=seed) for seed in (3, 4)]
    target = tmp_path_factory.mktemp("page") / "diff.html"
    b.__dict__["versions"] = {"python": "3.11.7", "torch": "2.14.0"}
    write(target, [a, prefill[0]], [b, prefill[1]], 0.05)
    return target


@pytest.fixture
def watched(browser: Browser, file: Path) -> Iterator[Watched]:
    found = pages.opened(browser, file)
    yield found
    pages.quiet(found)
    found.context.close()


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def table_of(page: Page) -> Locator:
    return page.locator("#modules-table [role=treegrid]")


def test_the_head_says_what_failed_what_differs_and_what_stands_out(page: Page) -> None:
    assert page.locator("header.top nav a").all_inner_texts() == [
        "Different settings",
        "Steps",
        "Outlier layers",
        "Modules",
    ]
    notices = page.locator(".notice").all_inner_texts()
    assert "Slower by more than 5 %" in notices[0] and "Model, decode: +" in notices[0]
    assert any("only in A: 1 module: model.norm" in text for text in notices)
    assert page.locator("#differs tr").nth(1).locator("th, td").all_inner_texts() == [
        "torch",
        "2.13.0",
        "2.14.0",
    ]
    cards = page.locator("#steps .card").all_inner_texts()
    assert len(cards) == 2
    assert "slower" in cards[0] and "decode" in cards[0]
    assert "no difference shown" in cards[1] and "prefill" in cards[1]
    assert page.locator("#entries li").count() == 1
    assert "model.layers.5" in page.locator("#entries li").inner_text()


def test_modules_begin_with_the_largest_difference_and_sort(page: Page) -> None:
    table = table_of(page)
    assert pages.names(table) == ["Model", "model.layers.[0-7|0-9]", "mlp", "model.norm"]
    header = table.locator("th", has_text="Difference")
    assert header.get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="flat", exact=True).click()
    table.locator("th", has_text="Module").get_by_role("button").click()
    assert pages.names(table) == [
        "Model",
        "model.layers.[0-7|0-9]",
        "model.layers.[0-7|0-9].mlp",
        "model.norm",
    ]
    table.locator("th", has_text="Change").get_by_role("button").click()
    assert pages.names(table)[-1] == "model.norm"  # what has no ratio comes last
    assert "only A" in table.locator("tbody tr[data-row]").last.inner_text()


def test_search_and_what_changed_narrow_the_table(page: Page) -> None:
    search = page.get_by_role("searchbox")
    search.fill("mlp")
    assert pages.names(table_of(page)) == ["Model", "model.layers.[0-7|0-9]", "mlp"]
    assert page.get_by_role("status").inner_text() == "1 of 4 shown"
    search.fill("")
    page.locator("#modules select").select_option("1")  # prefill: nothing changed
    assert len(pages.names(table_of(page))) == 3
    page.get_by_role("button", name="changes only").click()
    assert pages.names(table_of(page)) == []
    assert page.get_by_text("no module matches").is_visible()


def test_a_row_says_all_that_is_known_by_keyboard_too(page: Page) -> None:
    table_of(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    inspector = page.locator(".inspector")
    assert inspector.locator(".path").inner_text() == "model.layers.[0-7|0-9]"
    cells = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in inspector.locator("tbody tr").all()
    }
    assert cells["Path"] == ["model.layers.[0-7]", "model.layers.[0-9]"]
    assert cells["Calls"] == ["320", "400"]
    assert "95 % interval +" in inspector.inner_text()


def test_an_entry_leads_to_its_list(page: Page) -> None:
    page.locator("#modules select").select_option("1")
    page.locator("#entries button").click()
    assert page.locator("#modules select").input_value() == "0"
    assert (
        page.locator("#modules-table tr[aria-selected=true] td").first.inner_text()
        == "model.layers.[0-7|0-9]"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_against_the_page(browser: Browser, file: Path, scheme: str) -> None:
    watched = pages.opened(browser, file, color_scheme=scheme)
    table_of(watched.page).locator("tbody tr[data-row]").first.click()
    assert pages.axe(watched.page) == []
    pages.quiet(watched)
    watched.context.close()


def test_hostile_names_are_shown_and_harm_nothing(browser: Browser, tmp_path: Path) -> None:
    events = [
        Event(step * 10_000 + at * 100, step * 10_000 + at * 100 + 50 + step % 5, name, name)
        for step in range(1, 12)
        for at, name in enumerate(HOSTILE)
    ]
    write(tmp_path / "hostile.html", [FakeRecording(events)], [FakeRecording(events)])
    watched = pages.opened(browser, tmp_path / "hostile.html")
    watched.page.get_by_role("button", name="flat", exact=True).click()
    shown = "\n".join(pages.names(table_of(watched.page)))
    assert "</script><script>document.title='harmed'</script>" in shown
    assert "עברית" in shown and "\\u202e" in shown and "two\\nlines" in shown
    assert "harmed" not in watched.page.title()
    assert watched.page.locator("#modules-table script, #modules-table img").count() == 0
    pages.quiet(watched)
    watched.context.close()


@pytest.mark.parametrize("several", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_many_modules_stay_usable(browser: Browser, tmp_path: Path, several: int) -> None:
    found = compare_runs(run_of(model(20)), run_of(model(20, seed=2)))
    found.lines = [
        found.lines[1]._replace(path=f"part{at % 300}.named{at}", parent=-1)
        for at in range(1, several + 1)
    ]
    with open(tmp_path / "large.html", "w", encoding="utf-8") as stream:
        diff_page.write_page(found, stream)
    watched = pages.opened(browser, tmp_path / "large.html")
    table = table_of(watched.page)
    assert table.get_attribute("aria-rowcount") == str(several + 1)
    assert table.locator("tbody tr[data-row]").count() < 200
    one = several * 7 // 9
    watched.page.get_by_role("searchbox").fill(f"named{one}")
    assert pages.names(table) == [f"part{one % 300}.named{one}"]
    assert watched.page.get_by_role("status").inner_text() == f"1 of {several:,} shown"
    pages.quiet(watched)
    watched.context.close()
