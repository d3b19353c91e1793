"""The table of routes of the server.

The table is complete before the server starts. An address that is not in it does not exist, and no
part of an address becomes a path.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.text import escape_unprintable
from autoinstr.report.formats import FORMATS
from autoinstr.report.view import pages, perfetto

if TYPE_CHECKING:
    from autoinstr.report.view.report_cache import ReportCache

HTML = "text/html; charset=utf-8"
BYTES = "application/octet-stream"
MEDIA_TYPES = {
    ".html": HTML,
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
    ".ttf": "font/ttf",
}
# The default policy allows nothing. An error text may stand in the frame of the report.
DEFAULT_POLICY = "default-src 'none'; frame-ancestors 'self'"
PERFETTO = "perfetto/"
TIMELINE = "timeline"
REPORT = FORMATS["html"].file_name


class Redirect(NamedTuple):
    """A redirection to Perfetto's page.

    `address` is below the server's secret address. `trace` is the address of the trace, which
    Perfetto reads from the fragment of the URL.
    """

    address: str
    trace: str


class Route(NamedTuple):
    """What an address answers.

    `get_body` returns the path of a file, the bytes themselves, or a redirection. It may take long,
    and it may raise AutoinstrError. `policy` is the Content-Security-Policy.
    """

    get_body: Callable[[], str | bytes | Redirect]
    media_type: str
    policy: str = DEFAULT_POLICY
    is_download: bool = False


def build_routes(reports: ReportCache, perfetto_files: dict[str, str]) -> dict[str, Route]:
    """Return address below the server's secret address -> route.

    `perfetto_files` is the result of `perfetto.find_local_files`.
    """
    downloads = [row for row in FORMATS.values() if row.label]
    routes = {
        row.file_name: Route(_get_report(reports, row.name), row.media_type, is_download=True)
        for row in downloads
    }
    trace = FORMATS["pftrace"].file_name
    links = [(row.file_name, row.label) for row in downloads]
    name = escape_unprintable(os.path.basename(os.path.abspath(reports.run.path)))
    perfetto_origin = None if perfetto_files else perfetto.WEB_ORIGIN
    page = pages.build_index(
        name, REPORT, TIMELINE, links, trace=trace, perfetto_origin=perfetto_origin
    )
    routes[""] = Route(lambda: page, HTML, pages.POLICY)
    routes["view.css"] = Route(lambda: pages.STYLE.encode(), MEDIA_TYPES[".css"])
    routes["view.js"] = Route(lambda: pages.SCRIPT.encode(), MEDIA_TYPES[".js"])
    routes[REPORT] = Route(_get_report(reports, "html"), HTML, pages.REPORT_POLICY)
    if perfetto_files:
        policy = perfetto.build_policy(perfetto_files[perfetto.INDEX])
        for address, file in perfetto_files.items():
            media_type = MEDIA_TYPES.get(os.path.splitext(address)[1].lower(), BYTES)
            routes[PERFETTO + address] = Route(_get_constant(file), media_type, policy)
        routes[TIMELINE] = Route(lambda: Redirect(PERFETTO + perfetto.INDEX, trace), HTML)
    return routes


def _get_report(reports: ReportCache, name: str) -> Callable[[], str]:
    return lambda: reports.get_file(name)


def _get_constant(file: str) -> Callable[[], str]:
    return lambda: file
