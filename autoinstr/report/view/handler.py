"""Answer the requests of one connection.

- A request must name this machine as its host. Otherwise it comes from a web page whose name points
  to this machine (DNS rebinding).
- A foreign Origin is refused. So are a second Origin, a malformed header, and every method except
  GET and HEAD.
- Routes are looked up in a table, so no part of a request becomes a path.
"""

from __future__ import annotations

import os
import re
import shutil
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from autoinstr.report.view.routes import DEFAULT_POLICY, Redirect

if TYPE_CHECKING:
    from autoinstr.report.view.routes import Route
    from autoinstr.report.view.site import Site

# Any port is valid, because an SSH tunnel may listen on another one.
ALLOWED_HOSTS = re.compile(r"(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?")
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),  # the address is a secret
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
IDLE_S = 60  # an idle connection is closed after this time


class RequestHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD below the secret address of a site."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"
    _policy = DEFAULT_POLICY

    def __init__(self, site: Site, *args: Any) -> None:
        """Answer all requests of a connection; `args` are those of the base class."""
        self._site = site
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer a request, or refuse it with the reason."""
        hosts, origins = self.headers.get_all("Host") or [], self.headers.get_all("Origin") or []
        if self._has_malformed_headers():
            self._refuse(HTTPStatus.BAD_REQUEST, "this request has a malformed header")
        elif len(hosts) != 1 or not ALLOWED_HOSTS.fullmatch(hosts[0]):
            self._refuse(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server answers to 127.0.0.1 and localhost only",
            )
        elif origins not in ([], [f"http://{hosts[0]}"]):
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers to its own pages only")
        else:
            self._answer(hosts[0], self.path.partition("?")[0])

    do_HEAD = do_GET

    def _has_malformed_headers(self) -> bool:
        """Return whether a header line is malformed ("Origin : …") or continues another line.

        The standard library stops at such a line, so the checks would miss the headers after it.
        """
        headers = self.headers
        if headers.defects or headers.get_unixfrom() or headers.get_payload():
            return True
        return any("\n" in value for value in headers.values())

    def _refuse_method(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method

    def _answer(self, host: str, path: str) -> None:
        secret, _, address = path.removeprefix("/").partition("/")
        if secret == "open" and self.command == "GET":
            self._launch(address)
            return
        route = self._site.find_route(secret, address)
        if route is None or not path.startswith("/"):
            self._refuse(
                HTTPStatus.NOT_FOUND,
                "no such page; the complete address is the first line of autoinstr view",
            )
            return
        try:
            body = route.get_body()
        except Exception as error:
            # Whatever the report raises, the browser shows it. The server logs it and continues.
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error) or type(error).__name__)
            raise
        if isinstance(body, Redirect):
            root = f"/{self._site.secret}/"
            self._redirect(f"{root}{body.address}#!/?url=http://{host}{root}{body.trace}")
        elif isinstance(body, bytes):
            self._send(BytesIO(body), len(body), route, address)
        else:
            with open(body, "rb") as stream:
                self._send(stream, os.fstat(stream.fileno()).st_size, route, address)

    def _launch(self, code: str) -> None:
        address = self._site.use_launch(code)
        if address is None:
            self._refuse(
                HTTPStatus.NOT_FOUND,
                "this address works only once; the first line of autoinstr view has a lasting one",
            )
        else:
            self._redirect(f"/{self._site.secret}/{address}")

    def _send(self, stream: IO[bytes], length: int, route: Route, file_name: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", route.media_type)
        self.send_header("Content-Length", str(length))
        if route.is_download:
            self.send_header("Content-Disposition", f'attachment; filename="{file_name}"')
        self._end_headers(route.policy)
        if self.command == "GET":
            shutil.copyfileobj(stream, self.wfile, 1 << 20)

    def _redirect(self, address: str) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self._end_headers(DEFAULT_POLICY)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        body = f"{reason}\n".encode("utf-8", "backslashreplace")
        self.close_connection = True  # the body of the request is not read
        self.send_response(status)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", self.error_content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self._end_headers(DEFAULT_POLICY)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _end_headers(self, policy: str) -> None:
        self._policy = policy
        self.end_headers()

    def end_headers(self) -> None:
        """Add the security headers to every answer, including those of the standard library."""
        for name, value in (*HEADERS, ("Content-Security-Policy", self._policy)):
            self.send_header(name, value)
        self._policy = DEFAULT_POLICY
        super().end_headers()

    def version_string(self) -> str:
        """Return the Server header."""
        return "autoinstr"

    def log_message(self, *args: Any) -> None:
        """Log nothing, because addresses are secrets."""
