"""Beside a debugger and a tracer: they see of the program what they see without us, and we record what we record without them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GATE, REPO, Python, clean_environment
from tests.dap import Client
from tests.programs import PROGRAMS
from tests.recorded import counts, ranges, the_recording

pytestmark = pytest.mark.peers

PEERS = REPO / ".venv-peers"
PROGRAM = PROGRAMS / "debugged.py"
TORCH = sysconfig.get_path("purelib")
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
    return clean_environment(PYTHONPATH=os.pathsep.join(path), PYDEVD_DISABLE_FILE_VALIDATION="1", **more)


def stops(python: str, cwd: Path, environ: dict[str, str]) -> tuple[list[tuple[str, list[str]]], str, str]:
    """At each stop the value of `result` and the functions of the program on the stack; then what the program printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client", str(PROGRAM)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    try:
        client = Client(port)
        line = next(at for at, text in enumerate(PROGRAM.read_text().splitlines(), 1) if "stop here" in text)
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
            mine = [frame["name"] for frame in frames if frame.get("source", {}).get("path") == str(PROGRAM)]
            value = client.ask("evaluate", expression="result.item()", frameId=frames[0]["id"])["result"]
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
    assert [value for value, _ in native] == ["0.0", "0.0", "2.0", "4.0", "4.0", "8.0", "6.0", "12.0"]
    assert found == native
    assert said == printed == "[0.0, 4.0, 8.0, 12.0]\n"
    assert "autoinstr" not in stderr
    assert counts(ranges(the_recording(out))) == CALLS


def traced(peer: Python, out: Path, on: bool) -> tuple[Counter[str], str]:
    """Calls of each function of the program in viztracer's trace, and what the program printed."""
    trace = peer.cwd / f"trace-{on}.json"
    command = [peer.executable, "-m", "viztracer", "--quiet", "--tracer_entries", "5000000", "-o", str(trace), str(PROGRAM)]
    done = subprocess.run(command, env=environment(on, out), cwd=peer.cwd, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr
    events: list[dict[str, Any]] = json.loads(trace.read_text())["traceEvents"]
    return Counter(one["name"].split(" ")[0] for one in events if one["ph"] == "X" and str(PROGRAM) in one["name"]), done.stdout


@pytest.mark.timeout(280)
def test_viztracer_sees_the_same_calls(peer: Python, tmp_path: Path) -> None:
    out = tmp_path / "out"
    native, printed = traced(peer, out, False)
    found, said = traced(peer, out, True)
    assert native["Doubles.forward"] == 8
    assert found == native
    assert said == printed
    assert counts(ranges(the_recording(out))) == CALLS
