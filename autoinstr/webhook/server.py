"""Serve HTTPS to the API server and to the kubelet's probes.

- One thread a connection. The TLS handshake is made in it, so a slow client delays no other.
- The size of a request, the time of its parts and the number of connections are bounded.
- Idle connections live longer than those of the API server (90 s), so the API server closes them.
"""

from __future__ import annotations

import socket
import ssl
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Condition
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.log import get_logger, write_once

if TYPE_CHECKING:
    from autoinstr.webhook.certificates import Certificates

REVIEW_PATH = "/mutate"
MAX_BODY_BYTES = 3 << 20  # the API server takes no larger objects
MAX_CONNECTIONS = 64
MAX_REVIEWS = 4  # at once: parsed JSON takes several times its size
IDLE_S = 120
REQUEST_S = 10  # for a handshake, and for each of the headers and the body of a request


class WebhookServer(ThreadingHTTPServer):
    """Answers reviews by `answer` until `shutdown` is called.

    While `is_draining` is set it answers them too, but calls itself "not ready"."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: str, port: int, certificates: Certificates, answer: Callable[[bytes], bytes]
    ) -> None:
        """Listen on an address, "" for all. OSError if that cannot be done."""
        self.certificates = certificates
        self.answer = answer
        self.is_draining = False
        self.reviews = BoundedSemaphore(MAX_REVIEWS)
        self._connections = BoundedSemaphore(MAX_CONNECTIONS)
        self.request_count = 0
        self._request_ended = Condition()
        is_dual = not address and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if is_dual or ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler, bind_and_activate=False)
        try:
            if is_dual:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self.server_bind()
            self.server_activate()
        except OSError:
            self.server_close()
            raise

    def server_bind(self) -> None:
        """Bind the socket, without the look-up of a host name that the base class makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "autoinstr", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection. Too many connections: close it at once."""
        if not self._connections.acquire(blocking=False):
            limit = MAX_CONNECTIONS
            write_once("webhook limit", "warning", "there are too many connections", limit=limit)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the TLS handshake, and answer the requests of the connection."""
        request.settimeout(REQUEST_S)
        context = self.certificates.get_context()
        with context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log each kind of a connection's failure, once."""
        import sys

        error = sys.exc_info()[1]
        kind = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
        write_once(f"webhook {kind}", "warning", "a connection has failed", error=error)

    def begin_request(self) -> None:
        """Count a request that is being answered."""
        with self._request_ended:
            self.request_count += 1

    def end_request(self) -> None:
        """Count a request as answered."""
        with self._request_ended:
            self.request_count -= 1
            self._request_ended.notify_all()

    def wait_for_requests(self, seconds: float) -> bool:
        """Wait for the requests that are being answered. Return whether all were."""
        with self._request_ended:
            return self._request_ended.wait_for(lambda: self.request_count == 0, seconds)


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: WebhookServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # a response is one write
    server_version, sys_version = "autoinstr", ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def handle_one_request(self) -> None:
        """Wait for a request, and answer it in a bounded time."""
        self.connection.settimeout(IDLE_S)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the headers."""
        self.connection.settimeout(REQUEST_S)
        return super().parse_request()

    def do_GET(self) -> None:
        """Answer a probe: `/healthz`, and `/readyz` until the end has begun."""
        path = self.path.partition("?")[0]
        if path == "/healthz" or (path == "/readyz" and not self.server.is_draining):
            self._send(b"ok\n", "text/plain")
        elif path == "/readyz":
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "this process ends")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Answer an AdmissionReview."""
        length = self.headers.get("Content-Length", "")
        if self.path.partition("?")[0] != REVIEW_PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not (length.isascii() and length.isdigit()):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
        elif len(length) > 9 or int(length) > MAX_BODY_BYTES:
            get_logger().warning("a request is too large", bytes=length[:20], limit=MAX_BODY_BYTES)
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self.server.begin_request()
            try:
                body = self._read_body(int(length))
                with self.server.reviews:
                    answer = self.server.answer(body)
                self._send(answer, "application/json")
                self.wfile.flush()
            finally:
                self.server.end_request()

    def _read_body(self, length: int) -> bytes:
        """Read the body. TimeoutError if that takes too long, however often a part of it comes."""
        deadline = time.monotonic() + REQUEST_S
        parts = []
        while length:
            part = self.rfile.read1(min(length, 1 << 16))
            if not part or time.monotonic() > deadline:
                raise TimeoutError("the request did not arrive whole")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _send(self, body: bytes, media_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if self.server.is_draining:
            self.send_header("Connection", "close")  # which also ends this connection
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: a decision has a line of its own."""
