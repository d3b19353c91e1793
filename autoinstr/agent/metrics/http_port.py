"""A port that answers GET /metrics and nothing else, in the thread of service.py."""

from __future__ import annotations

import socket
from typing import Callable

from autoinstr.base.system import clocks

MAX_REQUEST_BYTES = 8_192
TIMEOUT_S = 2.0  # of one request


class HttpPort:
    """A listening socket. Only loopback, unless the option names another address."""

    def __init__(self, host: str, port: int, make_text: Callable[[], bytes]) -> None:
        """Listen. Raises OSError if the address cannot be used."""
        self._make_text = make_text
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(8)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, for select."""
        return self._socket.fileno()

    def answer(self) -> None:
        """Answer one request. A client that is too slow gets no answer."""
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        with connection:
            try:
                deadline_s = clocks.monotonic() + TIMEOUT_S
                request = b""
                while b"\r\n\r\n" not in request and len(request) < MAX_REQUEST_BYTES:
                    connection.settimeout(max(0.01, deadline_s - clocks.monotonic()))
                    data = connection.recv(MAX_REQUEST_BYTES)
                    if not data:
                        return
                    request += data
                connection.sendall(self._make_answer(request))
            except OSError:
                return

    def close(self) -> None:
        """Stop to listen."""
        self._socket.close()

    def _make_answer(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        is_metrics = len(words) == 3 and words[1].partition(b"?")[0] in (b"/metrics", b"/")
        if not is_metrics or words[0] != b"GET":
            return _format_answer("404 Not Found", b"see /metrics\n")
        return _format_answer("200 OK", self._make_text())


def _format_answer(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
