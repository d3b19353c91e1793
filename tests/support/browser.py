"""Real headless Chromium (requirements/chromium.sh), with a log of what a page did in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import REPO

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAM = REPO / ".venv-chromium" / "chromium"
# Chromium asks Google's hosts for this and that at every start; nothing may leave the machine.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser. Skip the test, with the reason, where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (make setup says why)"
    )
    said = PROGRAM.with_name("unavailable")
    if not PROGRAM.exists() or said.exists():
        pytest.skip(
            said.read_text().strip()
            if said.exists()
            else f"no {PROGRAM.relative_to(REPO)}: run requirements/chromium.sh"
        )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(PROGRAM), args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page in a context of its own, with a log.

    `console` has its errors, warnings and uncaught exceptions. `requests` has every address that it
    requested, except data: and blob: addresses, which stay in the browser.
    """

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.console: list[str] = []
        self.requests: list[str] = []
        self.refused: list[
            str
        ] = []  # of those: what the page's own Content-Security-Policy did not let out
        self.context.on("request", lambda request: self._asked(request.url))
        self.context.on(
            "requestfailed",
            lambda request: self.refused.append(request.url) if request.failure == "csp" else None,
        )
        self.context.on("page", self.watch)
        self.page: Page = self.context.new_page()

    def watch(self, page: Page) -> None:
        """Log another page, which this one opened."""
        page.on(
            "console",
            lambda said: (
                self.console.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: self.console.append(str(error)))

    def sent(self) -> list[str]:
        """Return the requests that left the page."""
        return [url for url in self.requests if url not in self.refused]

    def _asked(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.requests.append(url)
