"""The port of metrics, whose descriptor the program may close and get for a socket of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from threading import Thread

import pytest

from autoinstr.agent.metrics.http_port import HttpPort
from tests.conftest import REPO


@pytest.fixture
def port() -> Iterator[HttpPort]:
    port = HttpPort("127.0.0.1", 0, lambda: b"figures\n")
    try:
        yield port
    finally:
        port.close()


def read_address(port: HttpPort) -> tuple[str, int]:
    host, number = socket.socket(fileno=os.dup(port.fileno())).getsockname()
    return str(host), int(number)


def test_a_request_is_answered(port: HttpPort) -> None:
    host, number = read_address(port)
    answers: list[bytes] = []
    client = Thread(
        target=lambda: answers.append(
            urllib.request.urlopen(f"http://{host}:{number}/metrics", timeout=30).read()
        )
    )
    client.start()
    while client.is_alive():
        port.answer()
    assert answers == [b"figures\n"]


def test_a_socket_of_the_program_with_its_number_is_left_alone(port: HttpPort) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = port.fileno()
        os.dup2(server.fileno(), number)
        try:
            with socket.create_connection(server.getsockname()):
                assert not port.is_open()
                port.answer()
                server.settimeout(30)
                server.accept()[0].close()  # the program's connection is still the program's
            port.close()
            assert os.fstat(number).st_ino == os.fstat(server.fileno()).st_ino
        finally:
            os.close(number)


def test_it_takes_no_number_of_a_standard_stream() -> None:
    """A daemon has closed them, and opens its own files there."""
    code = (
        "import os\n"
        "from autoinstr.agent.metrics.http_port import HttpPort\n"
        "os.close(0); os.close(1)\n"
        "port = HttpPort('127.0.0.1', 0, bytes)\n"
        "os.write(2, str(port.fileno()).encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=60
    )
    assert int(done.stderr) >= 3
