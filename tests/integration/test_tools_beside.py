"""Test autoinstr together with a debugger and a tracer, in the program and its children.

The tools see the same as without autoinstr, and the recording is the same as without the tools,
whichever starts the other.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import GATE, REPO, Python, clean_environment
from tests.integration.test_agents_beside import assert_recorded, libraries
from tests.programs import PROGRAMS
from tests.support.dap import Client
from tests.support.recorded import counts, ranges, the_recording

pytestmark = pytest.mark.peers

PEERS = REPO / ".venv-peers"
PROGRAM = PROGRAMS / "debugged.py"
TORCH = sysconfig.get_path("purelib")
WITH_CHILDREN, WAYS = PROGRAMS / "beside.py", ("script", "code", "spawn", "fork")
# Does natively what `autoinstr run` does: becomes another program.
BECOMES = (
    "import os, sys\nos.execvpe(sys.executable, [sys.executable, *sys.argv[1:]], "
    "dict(os.environ))\n"
)
CALLS = {"Net||Net": 4, "Net|first|Doubles": 4, "Net|second|Doubles": 4}


@pytest.fixture
def peer(tmp_path: Path) -> Python:
    for name in ("debugpy", "viztracer"):
        if not list(PEERS.glob(f"lib/python*/site-packages/{name}")):
            pytest.skip(f"no {name}: `make setup` could not install .venv-peers")
    return Python(PEERS / "bin" / "python", tmp_path)


def environment(on: bool, out: Path) -> dict[str, str]:
    path = [str(GATE), TORCH] if on else [TORCH]
    more = {"AUTOINSTR": "1", "AUTOINSTR_OUT": str(out)} if on else {}
    return clean_environment(
        PYTHONPATH=os.pathsep.join(path), PYDEVD_DISABLE_FILE_VALIDATION="1", **more
    )


def stops(
    python: str, cwd: Path, environ: dict[str, str]
) -> tuple[list[tuple[str, list[str]]], str, str]:
    """Return the value of `result` and the program's functions on the stack at each stop.

    The output of the program follows.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        python,
        "-m",
        "debugpy",
        "--listen",
        f"127.0.0.1:{port}",
        "--wait-for-client",
        str(PROGRAM),
    ]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )
    try:
        client = Client(port)
        line = next(
            at for at, text in enumerate(PROGRAM.read_text().splitlines(), 1) if "stop here" in text
        )
        client.ask("initialize", adapterID="tests", linesStartAt1=True, pathFormat="path")
        attached = client.send("attach", justMyCode=False)
        client.event("initialized")
        client.ask("setBreakpoints", source={"path": str(PROGRAM)}, breakpoints=[{"line": line}])
        client.ask("configurationDone")
        client.response(attached)
        found = []
        while True:
            event = client.event("stopped", "terminated")
            if event["event"] == "terminated":
                break
            thread = event["body"]["threadId"]
            frames = client.ask("stackTrace", threadId=thread)["stackFrames"]
            mine = [
                frame["name"]
                for frame in frames
                if frame.get("source", {}).get("path") == str(PROGRAM)
            ]
            value = client.ask("evaluate", expression="result.item()", frameId=frames[0]["id"])[
                "result"
            ]
            found.append((value, mine))
            client.ask("continue", threadId=thread)
        client.close()
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return found, stdout, stderr


@pytest.mark.timeout(280)
def test_debugpy_stops_where_it_stops_without_us(peer: Python, tmp_path: Path) -> None:
    out = tmp_path / "out"
    native, printed, _ = stops(peer.executable, tmp_path, environment(False, out))
    found, said, stderr = stops(peer.executable, tmp_path, environment(True, out))
    assert [value for value, _ in native] == [
        "0.0",
        "0.0",
        "2.0",
        "4.0",
        "4.0",
        "8.0",
        "6.0",
        "12.0",
    ]
    assert found == native
    assert said == printed == "[0.0, 4.0, 8.0, 12.0]\n"
    assert "autoinstr" not in stderr
    assert counts(ranges(the_recording(out))) == CALLS


def traced(peer: Python, out: Path, on: bool) -> tuple[Counter[str], str]:
    """Return the calls of each function in viztracer's trace, and the output of the program."""
    trace = peer.cwd / f"trace-{on}.json"
    command = [
        peer.executable,
        "-m",
        "viztracer",
        "--quiet",
        "--tracer_entries",
        "5000000",
        "-o",
        str(trace),
        str(PROGRAM),
    ]
    done = subprocess.run(
        command, env=environment(on, out), cwd=peer.cwd, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr
    events: list[dict[str, Any]] = json.loads(trace.read_text())["traceEvents"]
    return Counter(
        one["name"].split(" ")[0]
        for one in events
        if one["ph"] == "X" and str(PROGRAM) in one["name"]
    ), done.stdout


@pytest.mark.timeout(280)
def test_viztracer_sees_the_same_calls(peer: Python, tmp_path: Path) -> None:
    out = tmp_path / "out"
    native, printed = traced(peer, out, False)
    found, said = traced(peer, out, True)
    assert native["Doubles.forward"] == 8
    assert found == native
    assert said == printed
    assert counts(ranges(the_recording(out))) == CALLS


class Outcome(NamedTuple):
    """The outcome of a program under a tool.

    For each of its processes it has what the tool saw, sorted.
    """

    stdout: str
    stderr: str
    status: int
    seen: list[Any]


ORDERS = ("PYTHONPATH", "autoinstr run, tool", "tool, autoinstr run")


def command(peer: Python, order: str, tool: list[str], on: bool) -> list[str]:
    """Return the command of the tool and the program with children.

    `tool` ends where the program's name goes. With `on`, autoinstr runs too, in this order.
    """
    program, run = [str(WITH_CHILDREN), *WAYS], ["-m", "autoinstr", "run", "--"]
    if order == "tool, autoinstr run":
        (peer.cwd / "becomes.py").write_text(BECOMES)
        return [
            *tool,
            *(["-m", "autoinstr", "--", "run", "--", peer.executable] if on else ["becomes.py"]),
            *program,
        ]
    return [*([peer.executable, *run] if on and order != "PYTHONPATH" else []), *tool, *program]


def places(peer: Python, order: str, on: bool) -> dict[str, str]:
    """Return the environment, with autoinstr or without it."""
    path = [*([GATE] if on and order == "PYTHONPATH" else []), libraries(peer.cwd), REPO]
    more = {"AUTOINSTR_OUT": str(peer.cwd / "out"), "PIDS": str(peer.cwd / "pids")} if on else {}
    if on and order == "PYTHONPATH":
        more["AUTOINSTR"] = "1"
    return clean_environment(
        PYTHONPATH=os.pathsep.join(map(str, path)), PYDEVD_DISABLE_FILE_VALIDATION="1", **more
    )


def debugged(peer: Python, order: str, on: bool) -> Outcome:
    """Return the value of `result` and the depth of the stack at each stop, in each process.

    Children connect to the same port. A program that replaces itself is not tested: whether debugpy
    follows it depends on timing, also without autoinstr.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = next(
        at
        for at, text in enumerate(WITH_CHILDREN.read_text().splitlines(), 1)
        if "stop here" in text
    )
    seen: list[list[tuple[str, int]]] = []
    threads: list[threading.Thread] = []

    def session(port: int, **attach: Any) -> None:
        client, mine = Client(port), []
        client.ask("initialize", adapterID="tests", linesStartAt1=True, pathFormat="path")
        attached = client.send("attach", **attach)
        client.event("initialized")
        client.ask(
            "setBreakpoints", source={"path": str(WITH_CHILDREN)}, breakpoints=[{"line": line}]
        )
        client.ask("configurationDone")
        client.response(attached)
        while (event := client.event("stopped", "terminated", "debugpyAttach"))[
            "event"
        ] != "terminated":
            if event["event"] == "debugpyAttach":
                more = {
                    key: value
                    for key, value in event["body"].items()
                    if key not in ("name", "request", "type")
                }
                threads.append(
                    threading.Thread(target=session, args=(more["connect"]["port"],), kwargs=more)
                )
                threads[-1].start()
                continue
            thread = event["body"]["threadId"]
            frames = client.ask("stackTrace", threadId=thread)["stackFrames"]
            own = sum(frame.get("source", {}).get("path") == str(WITH_CHILDREN) for frame in frames)
            mine.append(
                (
                    client.ask("evaluate", expression="result", frameId=frames[0]["id"])["result"],
                    own,
                )
            )
            client.ask("continue", threadId=thread)
        client.close()
        seen.append(mine)

    tool = [peer.executable, "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client"]
    pipe, environ = subprocess.PIPE, places(peer, order, on)
    process = subprocess.Popen(
        command(peer, order, tool, on),
        env=environ,
        cwd=peer.cwd,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )
    try:
        session(port, justMyCode=False, subProcess=True)
        stdout, stderr = process.communicate(timeout=60)
        for thread in threads:
            thread.join(60)
    finally:
        process.kill()
        process.wait()
    return Outcome(
        stdout, stderr, process.returncode, sorted(filter(None, seen))
    )  # others than those that call may be gone early


def viztraced(peer: Python, order: str, on: bool) -> Outcome:
    """Return the number of calls of each function in each process.

    viztracer keeps nothing of a program that replaces itself.
    """
    trace = peer.cwd / "trace.json"
    tool = [peer.executable, "-m", "viztracer", "--quiet", "-o", str(trace)]
    done = subprocess.run(
        command(peer, order, tool, on),
        env=places(peer, order, on),
        cwd=peer.cwd,
        capture_output=True,
        text=True,
    )
    found: dict[int, Counter[str]] = {}
    if trace.exists():
        for one in json.loads(trace.read_text())["traceEvents"]:
            if one["ph"] == "X" and str(WITH_CHILDREN) in one["name"]:
                found.setdefault(one["pid"], Counter())[one["name"].split(" ")[0]] += 1
        trace.unlink()
    return Outcome(
        done.stdout,
        done.stderr,
        done.returncode,
        sorted(sorted(its.items()) for its in found.values()),
    )


@pytest.mark.timeout(280)
@pytest.mark.parametrize(
    ("under", "order"),
    [*((debugged, order) for order in ORDERS[:2]), *((viztraced, order) for order in ORDERS)],
    ids=[
        *(f"debugpy {order}" for order in ORDERS[:2]),
        *(f"viztracer {order}" for order in ORDERS),
    ],
)
def test_children(peer: Python, under: Callable[[Python, str, bool], Outcome], order: str) -> None:
    native, found = under(peer, order, False), under(peer, order, True)
    assert found == native
    assert (native.status, native.stdout) == (
        3,
        "[[0, 4, 8], [0, 4], [0, 4], [0, 4, 0], [0, 4, 0]]\n",
    )
    assert len(native.seen) == (0 if under is viztraced and order == "tool, autoinstr run" else 5)
    assert_recorded(peer.cwd / "out", peer.cwd / "pids", [True] * 5)
