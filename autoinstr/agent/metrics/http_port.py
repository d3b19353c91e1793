"""A port that answers GET /metrics and nothing else, in the thread of service.py."""

from __future__ import annotations

import socket
from typing import Callable

from autoinstr.base.system import call_above_standard, clocks, identify_descriptor

MAX_REQUEST_BYTES = 8_192
TIMEOUT_S = 2.0  # of one request


class HttpPort:
    """A listening socket. Only loopback, unless the option names another address."""

    def __init__(self, host: str, port: int, make_text: Callable[[], bytes]) -> None:
        """Listen. Raises OSError if the address cannot be used."""
        self._make_text = make_text
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = call_above_standard(socket.socket, family, socket.SOCK_STREAM)
        self._identity = identify_descriptor(self._socket.fileno())
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

    def is_open(self) -> bool:
        """Return whether the descriptor is still this socket: a program may close all it finds."""
        return identify_descriptor(self._socket.fileno()) == self._identity

    def answer(self) -> None:
        """Answer one request. A client that is too slow gets no answer."""
        if not self.is_open():
            return
        try:
            connection, _ = call_above_standard(self._socket.accept)
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
        if self.is_open():
            self._socket.close()
        else:
            self._socket.detach()

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
