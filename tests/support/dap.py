"""A small debugger client for the Debug Adapter Protocol.

It can stop at a line, read variables and continue.
"""

from __future__ import annotations

import itertools
import json
import socket
import time
from typing import Any


class Client:
    """A client of `python -m debugpy --listen 127.0.0.1:PORT --wait-for-client …`.

    A request that fails raises AssertionError.
    """

    def __init__(self, port: int, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._stream = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._waiting: list[dict[str, Any]] = []

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; return its number."""
        number = next(self._numbers)
        body = json.dumps(
            {"seq": number, "type": "request", "command": command, "arguments": arguments}
        ).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return number

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its response; keep the events that arrive meanwhile."""
        return self.response(self.send(command, **arguments))

    def response(self, number: int) -> dict[str, Any]:
        """Return the body of the response to a request."""
        found = self._next(
            lambda message: message["type"] == "response" and message["request_seq"] == number
        )
        assert found["success"], found
        return found.get("body") or {}

    def event(self, *names: str) -> dict[str, Any]:
        """Return the next event with one of these names."""
        return self._next(lambda message: message["type"] == "event" and message["event"] in names)

    def _next(self, wanted: Any) -> dict[str, Any]:
        for at, message in enumerate(self._waiting):
            if wanted(message):
                return self._waiting.pop(at)
        while True:
            message = self._read()
            if wanted(message):
                return message
            self._waiting.append(message)

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            length = int(line.split(b":")[1])
        assert length, "the debugger has gone"
        return json.loads(self._stream.read(length))
