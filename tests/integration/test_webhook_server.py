"""The server of the admission webhook: probes, limits, certificates, and its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO, clean_environment
from tests.support.admission import Webhook, decode, make_certificate, make_pod, review

Start = Callable[..., Webhook]
BODY = json.dumps(review(make_pod())).encode()
HEAD = f"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("pair"), "first", "first.test")


@pytest.fixture
def start(pair: tuple[Path, Path]) -> Iterator[Start]:
    """Start webhooks, which end with the test."""
    started = []

    def start_webhook(
        *arguments: str, pair: tuple[Path, Path] = pair, prelude: str = ""
    ) -> Webhook:
        started.append(Webhook(*pair, "--drain", "600", *arguments, prelude=prelude))
        return started[-1]

    yield start_webhook
    for webhook in started:
        webhook.process.kill()
        webhook.process.communicate()


def fails(pair: tuple[Path, Path], *arguments: str) -> str:
    """Return what the program says that does not start."""
    command = [sys.executable, "-S", "-m", "autoinstr.webhook", "--port", "0", *arguments]
    command += ["--certificate", str(pair[0]), "--key", str(pair[1]), "--init-image", "x"]
    ended = subprocess.run(
        command, env=clean_environment(PYTHONPATH=str(REPO)), capture_output=True, text=True
    )
    assert ended.returncode in (1, 2) and ended.stdout == "" and "Traceback" not in ended.stderr
    return ended.stderr


def test_probes_and_addresses(start: Start) -> None:
    webhook = start()
    for method, path, body, status in (
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz?verbose", None, 200),
        ("GET", "/mutate", None, 404),
        ("GET", "/", None, 404),
        ("POST", "/mutate", BODY, 200),
        ("POST", "/healthz", BODY, 404),
        ("PUT", "/mutate", BODY, 501),
    ):
        assert webhook.request(method, path, body)[0] == status, (method, path)


def test_two_requests_on_one_connection(start: Start) -> None:
    connection = start().connect()
    for _ in range(2):
        connection.request("POST", "/mutate?timeout=2s", BODY)
        _, patch = decode(json.loads(connection.getresponse().read()))
        assert patch
    connection.close()


def test_a_large_request_is_refused_before_it_is_read(start: Start) -> None:
    webhook = start()
    for length, status in (
        ((3 << 20) + 1, 413),
        ("9" * 500, 413),
        ("-1", 411),
        ("²", 411),
    ):
        connection = webhook.connect()
        connection.putrequest("POST", "/mutate")
        connection.putheader("Content-Length", str(length).encode("latin-1"))
        connection.endheaders()
        assert connection.getresponse().status == status, length
        connection.close()
    assert "a request is too large" in webhook.wait_for("too large")
    assert webhook.post(BODY + b" " * ((3 << 20) - len(BODY)))[1]


def test_clients_that_stop_delay_no_other(start: Start) -> None:
    """Some make no handshake, some send no request, some send a part of one."""
    webhook = start()
    silent = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(5)]
    idle = [webhook.connect() for _ in range(5)]
    for connection in idle[:3]:
        connection.sock.sendall(HEAD + BODY[:10])
    assert webhook.admit(make_pod())[0]["patch"]
    plain = socket.create_connection(("127.0.0.1", webhook.port))
    plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "a connection has failed" in webhook.wait_for("a connection has failed")
    assert webhook.admit(make_pod())[0]["patch"]
    for each in (*silent, *idle, plain):
        each.close()


@pytest.mark.parametrize(("constant", "makes_handshake"), [("REQUEST_S", False), ("IDLE_S", True)])
def test_silent_connections_are_closed(constant: str, makes_handshake: bool, start: Start) -> None:
    """The constants are made short, so the test does not wait for them."""
    prelude = f"import autoinstr.webhook.server as server; server.{constant} = 0.1"
    webhook = start(prelude=prelude)
    if makes_handshake:
        assert webhook.connect().sock.recv(1) == b""
    else:
        with socket.create_connection(("127.0.0.1", webhook.port), timeout=60) as silent:
            assert silent.recv(1) == b""


def test_further_connections_are_closed(start: Start) -> None:
    """The number of threads is bounded. A connection that ends makes room for another one."""
    webhook = start()
    silent = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(64)]
    further = socket.create_connection(("127.0.0.1", webhook.port))
    assert further.recv(1) == b""
    webhook.wait_for("too many connections")
    for each in (*silent, further):
        each.close()
    while True:  # until the server has seen that they ended
        try:
            assert webhook.admit(make_pod())[0]["patch"]
            break
        except (ssl.SSLError, OSError):
            assert webhook.process.poll() is None


def test_a_new_certificate_is_used_for_new_connections(tmp_path: Path, start: Start) -> None:
    """The files change as in a mounted Secret. Files that are no pair leave the last one."""

    def publish(folder: str, certificate: Path, key: Path) -> None:
        (tmp_path / folder).mkdir()
        shutil.copy(certificate, tmp_path / folder / "tls.crt")
        shutil.copy(key, tmp_path / folder / "tls.key")
        (tmp_path / "..data_tmp").symlink_to(folder)
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")

    pairs = [make_certificate(tmp_path, name, f"{name}.test") for name in ("first", "second")]
    publish("..1", *pairs[0])
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    webhook = start(pair=(tmp_path / "tls.crt", tmp_path / "tls.key"))
    old = webhook.connect(pairs[0][0], "first.test")
    old.request("GET", "/healthz")
    assert old.getresponse().read() == b"ok\n"

    publish("..2", pairs[1][0], pairs[0][1])
    webhook.connect(pairs[0][0], "first.test").close()
    assert "level=error" in webhook.wait_for("the new certificate cannot be used")

    publish("..3", *pairs[1])
    webhook.connect(pairs[1][0], "second.test").close()
    assert "level=info" in webhook.wait_for("certificate read again")
    with pytest.raises(ssl.SSLCertVerificationError):
        webhook.connect(pairs[0][0], "first.test")
    old.request("GET", "/healthz")
    assert old.getresponse().read() == b"ok\n"
    old.close()


def test_sigterm(start: Start) -> None:
    """Requests are answered while the process drains, the last one too; then it ends with 0."""
    webhook = start()
    waiting, last = webhook.connect(), webhook.connect()
    last.sock.sendall(HEAD + BODY[:10])
    webhook.process.send_signal(signal.SIGTERM)
    webhook.wait_for("webhook ends")
    assert webhook.request("GET", "/readyz")[0] == 503
    assert webhook.request("GET", "/healthz")[0] == 200
    waiting.request("POST", "/mutate", BODY)
    response = waiting.getresponse()
    assert response.getheader("Connection") == "close" and decode(json.loads(response.read()))[1]
    webhook.process.send_signal(signal.SIGTERM)
    webhook.wait_for("waits for requests count=1")
    last.sock.sendall(BODY[10:])
    answer = b"".join(iter(lambda: last.sock.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"patch"' in answer
    assert webhook.process.wait(timeout=60) == 0
    assert not [line for line in webhook.lines if "Traceback" in line]
    waiting.close()
    last.close()


def test_the_time_for_draining_ends(pair: tuple[Path, Path]) -> None:
    webhook = Webhook(*pair, "--drain", "0.1")
    assert webhook.end(signal.SIGTERM) == 0


def test_what_cannot_start_says_why(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "no certificate and its key" in fails((tmp_path / "gone", pair[1]))
    assert "no certificate and its key" in fails((tmp_path / "empty", pair[1]))
    assert "wen" in fails(pair, "--options", "wen=manual")
    assert "invalid choice" in fails(pair, "--init-pull-policy", "Sometimes")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "in use" in fails(pair, "--address", "127.0.0.1", "--port", port)


def test_settings_and_json(start: Start) -> None:
    webhook = start(
        *("--init-image=r/init:2", "--init-pull-policy=Always", "--options=window=5:2"),
        *("--recordings-size=", "--log-format=json", "--address=127.0.0.1"),
    )
    _, pod = webhook.admit(make_pod())
    (init,) = pod["spec"]["initContainers"]
    assert (init["image"], init["imagePullPolicy"]) == ("r/init:2", "Always")
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert variables["AUTOINSTR"] == "window=5:2,out=/recordings/run"
    assert pod["spec"]["volumes"][1] == {"name": "recordings", "emptyDir": {}}
    line = json.loads(webhook.wait_for("pod injected"))
    assert (line["event"], line["containers"]) == ("pod injected", "vllm")
