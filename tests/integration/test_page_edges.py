"""The page of runs that are large, empty, damaged or hostile, in real headless Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import pages
from tests.support.annotated import Entry, mark, write
from tests.support.recordings import make_recording

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MOST_ELEMENTS = 5_000  # in a page, however long its tables are
SIZES = pytest.mark.parametrize("several", [10_000, pytest.param(100_000, marks=pytest.mark.long)])


HOSTILE = {
    "quotes": "a\"b'c`d",
    "markup": "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>",
    "lines": "one\ntwo\r\nthree\u2028four\u2029five\x00six",
    "right to left": "\u202eevil\u202c \u05d0\u05d1\u05d2 \u0627\u0644\u0639",
    "long": "n" * 4096,
    "template": "${title} $data {{x}} \\u003c <!-- ]]>",
    "alone": "half \ud83d of a pair",
}


def test_hostile_names_are_shown_and_harm_nothing(browser: Browser, tmp_path: Path) -> None:
    calls = [(0, "", "Model", 1_000, 90_000)]
    for at, text in enumerate(HOSTILE.values()):
        calls.append(
            (0, f"child{at}{text}", f"Class{text}", 2_000 + 5_000 * at, 6_000 + 5_000 * at)
        )
    header = {
        "roles": [HOSTILE["markup"]],
        "host": HOSTILE["right to left"],
        "versions": {"x": HOSTILE["quotes"]},
    }
    header["argv"] = ["python", *HOSTILE.values()]
    make_recording(
        str(tmp_path / "run<b>&amp;"), calls, root=f"Model{HOSTILE['markup']}#1", header=header
    )
    front = [mark(5_000, "request.arrived", request=HOSTILE["markup"], external=HOSTILE["long"])]
    ended = mark(9_000, "request.finished", request=HOSTILE["markup"], reason=HOSTILE["lines"])
    engine = [mark(6_000, "request.queued", request=HOSTILE["markup"]), ended]
    write(
        str(tmp_path / "run<b>&amp;"),
        [*front, *engine, Entry(3_000, 4_000, HOSTILE["right to left"], domain=HOSTILE["markup"])],
        pid=5,
    )
    file = tmp_path / "report.html"
    pages.page_of(tmp_path / "run<b>&amp;", file)
    source = file.read_text()
    assert source.count("<script") == source.count("</script>") == 2 and "<img" not in source
    assert source.isascii() or "\u2028" not in source
    watched = pages.opened(browser, file)
    page = watched.page
    assert page.title() == "run<b>&amp; · autoinstr"
    assert page.locator("img").count() == 0
    table = page.locator("#modules-table [role=treegrid]")
    shown = pages.names(table)
    assert any("a\"b'c`d" in one for one in shown)
    assert any("</script><script>" in one for one in shown)
    assert any("one\\ntwo\\r\\nthree\\u2028four\\u2029five\\x00six" in one for one in shown)
    assert any("\\u202eevil\\u202c \u05d0\u05d1\u05d2" in one for one in shown)
    assert any(one.endswith("…") and len(one) < 300 for one in shown)
    assert table.locator("td.name bdi").count() == len(shown)
    row = table.locator("tbody tr", has_text="nnnnnnnn")
    assert row.bounding_box()["height"] <= 27  # type: ignore[index]
    row.locator("td").nth(2).click()
    assert page.locator("#modules .inspector .path").inner_text().endswith("n" * 4096)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    pages.quiet(watched)
    watched.context.close()


@SIZES
def test_many_modules_stay_usable(browser: Browser, tmp_path: Path, several: int) -> None:
    calls = [(0, "", "Model", 1_000, 10_000_000_000)]
    for at in range(several // 100):
        start = 2_000 + 1_000_000 * at
        calls.append((0, f"part{at}", f"Part{at}", start, start + 900_000))
        for one in range(99):
            begun = start + 9_000 * one + 1
            calls.append(
                (0, f"part{at}.unit_{one}", "Unit", begun, begun + 100 + (at * 7919 + one) % 4_001)
            )
    make_recording(str(tmp_path / "run"), calls, max_bytes=1 << 30)
    file = tmp_path / "report.html"
    pages.page_of(tmp_path / "run", file)
    assert file.stat().st_size < 400 * several
    watched = pages.opened(browser, file)
    page = watched.page
    table = page.locator("#modules-table [role=treegrid]")
    assert page.locator("#modules .toolbar [role=status]").inner_text() == f"{several + 1:,} rows"
    page.get_by_role("button", name="Unfold all").click()
    assert table.get_attribute("aria-rowcount") == str(several + 2)
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS
    page.get_by_role("button", name="flat", exact=True).click()
    table.locator("th", has_text="Total").get_by_role("button").click()
    assert pages.names(table)[:2] == ["Model", "part0"]
    table.press("End")
    assert table.locator(f"tr[aria-rowindex='{several + 2}']").count() == 1
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS
    page.locator("#modules").get_by_role("searchbox").fill("part77. unit_98")
    assert pages.names(table) == ["part77.unit_98"]
    pages.quiet(watched)
    watched.context.close()


@SIZES
def test_many_steps_and_requests_stay_usable(
    browser: Browser, tmp_path: Path, several: int
) -> None:
    pages.served(tmp_path / "run", steps=several, requests=several, ranks=0)
    file = tmp_path / "report.html"
    pages.page_of(tmp_path / "run", file)
    assert file.stat().st_size < 300 * several
    watched = pages.opened(browser, file)
    page = watched.page
    slider = page.get_by_role("slider", name="Steps")
    assert slider.get_attribute("aria-valuemax") == str(several)
    assert "each bar is" in page.locator("#steps .note").inner_text()
    slider.press("End")
    slider.press("PageDown")
    assert (slider.get_attribute("aria-valuetext") or "").startswith(
        f"step {several * 9 // 10 - 1:,} of {several:,}, decode"
    )
    page.get_by_role("button", name="Show the nearest step with ranges").click()
    assert page.get_by_role("application").is_visible()
    table = page.get_by_role("grid", name="Requests")
    table.locator("th", has_text="End to end").get_by_role("button").click()
    assert pages.names(table)[0] in (f"r{several - 10}", f"r{several - 1}")
    wanted = f"r{several * 54321 // 100_000}"
    page.locator("#requests").get_by_role("searchbox").fill(wanted)
    assert pages.names(table) == [wanted]
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS
    pages.quiet(watched)
    watched.context.close()


def test_an_empty_run_says_so(browser: Browser, tmp_path: Path) -> None:
    make_recording(str(tmp_path / "run"), [])
    done = pages.page_of(tmp_path / "run", tmp_path / "report.html")
    assert "nothing was recorded" in done.stderr
    watched = pages.opened(browser, tmp_path / "report.html")
    said = watched.page.locator("main").inner_text()
    assert "No range was recorded" in said and "recorded nothing: MainProcess, pid 1000" in said
    pages.quiet(watched)
    watched.context.close()


def test_a_missing_rank_a_killed_process_and_a_damaged_file_are_said(
    browser: Browser, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    calls = [(0, "", "Model", 1_000, 90_000), (0, "layer", "Layer", 2_000, 80_000)]
    make_recording(str(folder), calls, pid=1, header={"rank": 0, "world_size": 4})
    make_recording(
        str(folder),
        [*calls, (0, "", "Model", 95_000, None)],
        pid=2,
        header={"rank": 1, "world_size": 4},
        close=False,
    )
    file = Path(make_recording(str(folder), calls, pid=3, header={"rank": 3, "world_size": 4}))
    file.write_bytes(b"not a recording")
    pages.page_of(folder, tmp_path / "report.html")
    watched = pages.opened(browser, tmp_path / "report.html")
    page = watched.page
    losses = page.locator(".notice:not(.minor)").inner_text()
    assert "ranks 2-3 of 4 are missing" in losses and file.name in losses
    notes = page.locator(".notice.minor").inner_text()  # what was recorded is in the file
    assert "the process was killed or still runs" in notes and "still inside Model" in notes
    assert "was killed" not in losses and file.name not in notes
    assert re.search(r"Complete\s+1 of 2 complete", page.locator(".facts").inner_text())
    flame = page.locator("#steps .description [role=status]")
    page.get_by_role("slider", name="Calls").or_(page.get_by_role("slider", name="Steps")).press(
        "End"
    )
    assert "range" in flame.inner_text()
    pages.quiet(watched)
    watched.context.close()


def test_a_thousand_ranks_are_compared(browser: Browser, tmp_path: Path) -> None:
    for rank in range(1_000):
        slow = 3 if rank == 617 else 1
        calls = [
            (0, "", "Model", 1_000, 1_000 + 90_000 * slow + rank),
            (0, "layer", "Layer", 2_000, 2_000 + 50_000 * slow),
        ]
        make_recording(
            str(tmp_path / "run"),
            calls,
            pid=100 + rank,
            header={"roles": ["Worker"], "rank": rank, "world_size": 1_000},
        )
    file = tmp_path / "report.html"
    pages.page_of(tmp_path / "run", file)
    assert file.stat().st_size < 2e6
    watched = pages.opened(browser, file)
    page = watched.page
    assert (
        "1,000 processes with the same module tree; "
        "slowest in Model: Worker rank 617 of 1000, pid 717"
        in page.locator("#ranks .note").inner_text()
    )
    slider = page.get_by_role("slider", name="Rank")
    assert slider.get_attribute("aria-valuenow") == "618"
    slider.press("Home")
    mine = page.locator("#ranks tbody tr[data-row] td:nth-child(7)").first
    assert mine.get_attribute("title") == "90,000 ns"
    assert "Worker rank 617 of 1000" in page.locator("#findings").inner_text()
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS
    pages.quiet(watched)
    watched.context.close()
