"""Serve one run to the browsers of this machine's user.

Every user of a machine and every web page in its browsers can connect to a port on the loopback
address. So the address has a secret part (`site.py`), and the request handler checks where a
request comes from (`handler.py`).
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from functools import partial
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from autoinstr.report.view.handler import RequestHandler
from autoinstr.report.view.site import Site

if TYPE_CHECKING:
    from autoinstr.report.view.routes import Route

HOST = "127.0.0.1"
CLOSE_TIMEOUT_S = 2.0  # for the threads of connections
# Each connection has a thread. A browser opens six at a time, and any user of the machine may open
# some.
MAX_CONNECTIONS = 64


class Server(ThreadingHTTPServer):
    """Answers below `http://127.0.0.1:<port>/<secret>/`."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, routes: dict[str, Route]) -> None:
        """Listen on a port. Raise OSError if that fails."""
        self._site = Site(routes)
        self._free_connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._connections: set[Any] = set()
        super().__init__((HOST, port), partial(RequestHandler, self._site))

    def server_bind(self) -> None:
        """Bind without the standard library's name look-up, which may ask a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a new thread. With too many connections, close it."""
        if self._free_connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle one connection until it ends."""
        self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)
            self._free_connections.release()

    def server_close(self) -> None:
        """Close the server and its connections.

        Python aborts if it exits while a thread waits for the next request of a browser.
        """
        super().server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side closed it
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        for _ in range(MAX_CONNECTIONS):
            timeout = max(0.0, deadline - time.monotonic())
            if not self._free_connections.acquire(timeout=timeout):
                break

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/{self._site.secret}/"

    def create_launch_url(self, address: str) -> str:
        """Return a URL without the secret that leads to `address` once."""
        return f"http://{HOST}:{self.port}/open/{self._site.create_launch(address)}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a line instead of a traceback.

        Print nothing if the browser closed the connection, or if the server closed it at its end.
        """
        error = sys.exc_info()[1]
        is_closed = isinstance(error, (ConnectionError, TimeoutError)) or request.fileno() == -1
        if not is_closed and sys.stderr is not None:
            print(f"autoinstr: {error or type(error).__name__}", file=sys.stderr)
