"""Run programs on the real torch_npu over the simulated CANN, and read the simulation's log."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.conftest import GATE, REPO, Python

# Another release of torch and torch_npu: tests/integration/test_newest_torch.py.
PYTHON = Path(os.environ.get("TESTS_NPU_PYTHON") or REPO / ".venv-npu" / "bin" / "python")
BUILD = REPO / "tests" / "npu" / "cann" / "build.py"
LIMIT_S = 300

# What every program starts with: `give` hands a value to the test.
PRELUDE = """
import ctypes, glob, json, os, sys, threading, time
import torch, torch_npu
import torch_npu.profiler as P
public, bound = torch_npu.npu.mstx, torch_npu._C._mstx
given = {}
def give(**values):
    given.update(values)
def acl_id(stream):  # the id that the log has: a simulated stream is the address of it
    return ctypes.c_int32.from_address(stream.npu_stream).value
def profile(folder=None, export=("db",), level="Level_none", schedule=None, analyse=True, **config):
    experimental = P._ExperimentalConfig(
        mstx=True, export_type=list(export), profiler_level=getattr(P.ProfilerLevel, level),
        **config)
    activities = [P.ProfilerActivity.CPU, P.ProfilerActivity.NPU]
    handler = P.tensorboard_trace_handler(folder, analyse_flag=analyse) if folder else None
    return P.profile(activities=activities, experimental_config=experimental, schedule=schedule,
                     on_trace_ready=handler)
"""
POSTLUDE = """
with open("given.json", "w") as file:
    json.dump(given, file)
"""


class Unavailable(Exception):
    """The tests cannot run here; the text says what is missing."""


class Call(NamedTuple):
    """One line of the log; tests/npu/cann/mstx.c says what its fields are."""

    call: str
    domain: str
    message: str
    stream: int
    id: int
    pid: int
    tid: int
    ns: int
    raw_ns: int


class Ran(NamedTuple):
    """The outcome of a program."""

    folder: Path
    given: dict[str, Any]
    calls: list[Call]
    stdout: str
    stderr: str

    def of(self, *kinds: str, domain: str | None = None) -> list[Call]:
        """Return the calls of these kinds (start, end, mark, domain, acl), in order."""
        return [call for call in self.calls if call.call in kinds and domain in (None, call.domain)]

    def pairs(self, domain: str) -> list[tuple[Call, Call]]:
        """Return (start, end) of each complete range of a domain, in order of start."""
        ends = {(call.pid, call.id): call for call in self.of("end")}
        return [
            (call, ends[call.pid, call.id])
            for call in self.of("start", domain=domain)
            if (call.pid, call.id) in ends
        ]


class RunNpu(Protocol):
    """Call `run` in a folder of its own: the fixture `npu`."""

    def __call__(self, source: str, devices: int = 1, **more: Any) -> Ran: ...


def read_log(path: Path) -> list[Call]:
    """Return the calls of one log, in the order of the file; a malformed line is an error."""
    return (
        [Call(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )


def require(program: Path) -> None:
    """Raise Unavailable if a program is missing that `make setup-npu` installs."""
    if not program.exists():
        why = program.parents[1] / "unavailable"
        raise Unavailable(
            why.read_text().strip()
            if why.exists()
            else f"no {program.parents[1].name}: `make setup-npu` makes it"
        )


def built() -> Path:
    """Return the folder of the simulated CANN; build it if it does not exist.

    Raise Unavailable if torch_npu or a compiler is missing.
    """
    require(PYTHON)
    done = subprocess.run(
        [str(PYTHON), str(BUILD)], capture_output=True, text=True, timeout=LIMIT_S
    )
    if done.returncode:
        raise Unavailable(
            done.stderr.strip() or f"{BUILD.name} failed with status {done.returncode}"
        )
    return Path(done.stdout.strip())


def environment(home: Path, log: Path | str, devices: int = 1) -> dict[str, str]:
    """Return the environment that makes a process use the simulated CANN.

    `log` is the file for mstx calls, or "off".
    """
    return {
        "ASCEND_HOME_PATH": str(home),
        "ASCEND_OPP_PATH": str(home / "opp"),
        "LD_LIBRARY_PATH": str(home / "lib64"),
        "PATH": os.pathsep.join([str(home / "tools" / "profiler" / "bin"), os.environ["PATH"]]),
        "CANNSIM_LOG": str(log),
        "CANNSIM_DEVICES": str(devices),
    }


def run(
    home: Path, folder: Path, source: str, devices: int = 1, agent: bool = False, **more: Any
) -> Ran:
    """Run a program (after PRELUDE) in a new folder.

    Raise AssertionError if it fails or uses something that is not simulated.
    """
    folder.mkdir(parents=True)
    program = folder / "program.py"
    program.write_text(PRELUDE + source + POSTLUDE)
    log = folder / "log.jsonl"
    extra = {**environment(home, log, devices), **more.pop("env", {})}
    gate: dict[str, Any] = {"path": (GATE,), "on": "1"} if agent else {"path": (), "on": None}
    done = Python(PYTHON, folder).run(program, env=extra, timeout=LIMIT_S, **gate, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not simulated" not in done.stderr, done.stderr
    return Ran(
        folder,
        json.loads((folder / "given.json").read_text()),
        read_log(log),
        done.stdout,
        done.stderr,
    )
