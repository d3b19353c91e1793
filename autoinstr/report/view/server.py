"""Serves one run to the browsers of this machine's user.

Loopback is open to every user of a machine and to every web page in its browser. So:
- the address has a secret part that only the terminal shows (recordings are private, and other
users can connect to the port);
- a request must name this machine as its host, or it comes from a page whose name was pointed at it
(DNS rebinding);
- an Origin that is not ours is refused, and so is a second one, a header that is not understood,
and every method but GET and HEAD;
- what is served is a table of routes; no part of a request becomes a path.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import shutil
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from socketserver import TCPServer
from typing import IO, TYPE_CHECKING, Any

from autoinstr.report.view.routes import NOTHING, Redirect

if TYPE_CHECKING:
    from autoinstr.report.view.routes import Route

HOST = "127.0.0.1"
OUR_HOSTS = re.compile(
    r"(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?"
)  # any port: an ssh tunnel may begin at another
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),  # the address is a secret
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
IDLE_S = 60  # a connection on which nothing comes is closed
SHUT_S = 2.0  # for the threads of connections to end
MOST_CONNECTIONS = (
    64  # a thread each; a browser opens six at a time, and anybody on the machine may open some
)


class Server(ThreadingHTTPServer):
    """Answers below `http://127.0.0.1:<port>/<secret>/` with these routes. OSError where the port
    cannot be had."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, routes: dict[str, Route]) -> None:
        self.routes = routes
        self.secret = secrets.token_urlsafe(18)
        self._launches: dict[str, str] = {}
        self._launching = threading.Lock()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._connections: set[Any] = set()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """Without the standard library's look-up of a name for the address, which may ask a name
        server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, as long as there are not too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, to its end."""
        self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)
            self._free.release()

    def server_close(self) -> None:
        """End the connections too: Python aborts where it ends while a thread waits for the next
        request of a browser."""
        super().server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself
        until = time.monotonic() + SHUT_S
        for _ in range(MOST_CONNECTIONS):
            if not self._free.acquire(timeout=max(0.0, until - time.monotonic())):
                break

    @property
    def port(self) -> int:
        """The port that it really has."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where everything is."""
        return f"http://{HOST}:{self.port}/{self.secret}/"

    def launch(self, address: str) -> str:
        """An address that leads to `address` once: the command line of a browser can be read by
        every user of the machine."""
        code = secrets.token_urlsafe(18)
        with self._launching:
            self._launches[code] = address
        return f"http://{HOST}:{self.port}/open/{code}"

    def launched(self, code: str) -> str | None:
        """Where a code leads, the first time."""
        with self._launching:
            return self._launches.pop(code, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line, not a traceback; nothing for a browser that went away, or where the end came
        while the connection began and closed it."""
        error = sys.exc_info()[1]
        gone = isinstance(error, (ConnectionError, TimeoutError)) or request.fileno() == -1
        if not gone and sys.stderr is not None:
            print(f"autoinstr: {error or type(error).__name__}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        """Answer, or say why not."""
        hosts, origins = self.headers.get_all("Host") or [], self.headers.get_all("Origin") or []
        if self._misread():
            self._refuse(HTTPStatus.BAD_REQUEST, "a header of this request is not understood")
        elif len(hosts) != 1 or not OUR_HOSTS.fullmatch(hosts[0]):
            self._refuse(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server answers to 127.0.0.1 and localhost only",
            )
        elif origins not in ([], [f"http://{hosts[0]}"]):
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers to its own pages only")
        else:
            self._answer(hosts[0], self.path.partition("?")[0])

    do_HEAD = do_GET

    def _misread(self) -> bool:
        """A line that is no header ("Origin : …"), at which the standard library stops to read
        them, or one that continues another: what is not seen cannot be refused."""
        broken = self.headers.defects or self.headers.get_unixfrom() or self.headers.get_payload()
        return bool(broken) or any("\n" in value for value in self.headers.values())

    def _not_allowed(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _not_allowed

    def _answer(self, host: str, path: str) -> None:
        first, _, rest = path.removeprefix("/").partition("/")
        if first == "open" and self.command == "GET":
            address = self.server.launched(rest)
            if address is None:
                self._refuse(
                    HTTPStatus.NOT_FOUND,
                    "this address has been used; the first line of autoinstr view has one that stays",
                )
            else:
                self._send_to(f"/{self.server.secret}/{address}")
            return
        route = self.server.routes.get(rest)
        if (
            not path.startswith("/")
            or not hmac.compare_digest(first.encode(), self.server.secret.encode())
            or route is None
        ):
            self._refuse(
                HTTPStatus.NOT_FOUND,
                "not here; the whole address is the first line that autoinstr view prints",
            )
            return
        try:
            body = route.body()
        except (
            Exception
        ) as error:  # of whatever report: the server goes on, and both ends learn why
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error) or type(error).__name__)
            raise
        if isinstance(body, Redirect):
            root = f"/{self.server.secret}/"
            self._send_to(f"{root}{body.address}#!/?url=http://{host}{root}{body.fragment}")
        elif isinstance(body, bytes):
            self._send(BytesIO(body), len(body), route, rest)
        else:
            with open(body, "rb") as stream:
                self._send(stream, os.fstat(stream.fileno()).st_size, route, rest)

    def _send(self, stream: IO[bytes], length: int, route: Route, name: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", route.type)
        self.send_header("Content-Length", str(length))
        if route.download:
            self.send_header("Content-Disposition", f'attachment; filename="{name}"')
        self._end_headers(route.policy)
        if self.command == "GET":
            shutil.copyfileobj(stream, self.wfile, 1 << 20)

    def _send_to(self, address: str) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self._end_headers(NOTHING)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        body = f"{why}\n".encode("utf-8", "backslashreplace")
        self.close_connection = True  # a body that came with the request is not read
        self.send_response(status)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", self.error_content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self._end_headers(NOTHING)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _end_headers(self, policy: str) -> None:
        self._policy = policy
        self.end_headers()

    _policy = NOTHING

    def end_headers(self) -> None:
        """Every answer has them, also those of the standard library's."""
        for name, value in (*HEADERS, ("Content-Security-Policy", self._policy)):
            self.send_header(name, value)
        self._policy = NOTHING
        super().end_headers()

    def version_string(self) -> str:
        """The Server header."""
        return "autoinstr"

    def log_message(self, *args: Any) -> None:
        """Nothing: addresses are secrets."""
