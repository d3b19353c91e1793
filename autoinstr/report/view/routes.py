"""What the server answers: a table made at its start. An address that is not in it does not exist,
and none of it reaches a path."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.text import printable
from autoinstr.report.view import pages, perfetto

if TYPE_CHECKING:
    from autoinstr.report.view.report_cache import Made

HTML = "text/html; charset=utf-8"
BYTES = "application/octet-stream"
JSON = "application/json"
TYPES = {
    ".html": HTML, ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": JSON, ".wasm": "application/wasm",
    ".png": "image/png", ".svg": "image/svg+xml", ".ico": "image/x-icon", ".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf",
}  # fmt: skip
# why there is no report is shown where the report would be
NOTHING = "default-src 'none'; frame-ancestors 'self'"
# Formats that can be downloaded: the name of the file, its type, what the link says.
DOWNLOADS = {
    "pftrace": ("report.pftrace", BYTES, "Perfetto trace"),
    "chrome": ("report.chrome.json", JSON, "Chrome trace"),
    "speedscope": ("report.speedscope.json", JSON, "speedscope"),
    "json": ("report.json", JSON, "JSON"),
    "csv": ("report.csv", "text/csv; charset=utf-8", "CSV"),
}
PERFETTO = "perfetto/"
TIMELINE = "timeline"
REPORT = "report.html"


class Redirect(NamedTuple):
    """Go there: an address below the server's, with what follows its # made of where the trace
    is."""

    address: str
    fragment: str


class Route(NamedTuple):
    """`body` gives a file's path, the bytes themselves, or where to go; it may take its time, and
    raises AutoinstrError. `policy` is the Content-Security-Policy."""

    body: Callable[[], str | bytes | Redirect]
    type: str
    policy: str = NOTHING
    download: bool = False


def routes_of(made: Made, copy: dict[str, str]) -> dict[str, Route]:
    """address below the server's secret one -> what is there. `copy` is that of Perfetto's page
    (perfetto.bundled)."""
    routes = {
        file: Route(_of(made, name), type, download=True)
        for name, (file, type, _) in DOWNLOADS.items()
    }
    trace = DOWNLOADS["pftrace"][0]
    links = [(REPORT, "HTML page"), *((file, label) for file, _, label in DOWNLOADS.values())]
    name = printable(os.path.basename(os.path.abspath(made.run.path)))
    page = pages.index(
        name, REPORT, TIMELINE, links, trace=trace, elsewhere=None if copy else perfetto.WEB
    )
    routes[""] = Route(lambda: page, HTML, pages.POLICY)
    routes["view.css"] = Route(lambda: pages.STYLE.encode(), TYPES[".css"])
    routes["view.js"] = Route(lambda: pages.SCRIPT.encode(), TYPES[".js"])
    routes[REPORT] = Route(_of(made, "html"), HTML, pages.REPORT_POLICY)
    if copy:
        policy = perfetto.policy(copy[perfetto.INDEX])
        for name, file in copy.items():
            routes[PERFETTO + name] = Route(
                _constant(file), TYPES.get(os.path.splitext(name)[1].lower(), BYTES), policy
            )
        routes[TIMELINE] = Route(lambda: Redirect(PERFETTO + perfetto.INDEX, trace), HTML)
    return routes


def _of(made: Made, name: str) -> Callable[[], str]:
    return lambda: made.file(name)


def _constant(file: str) -> Callable[[], str]:
    return lambda: file
