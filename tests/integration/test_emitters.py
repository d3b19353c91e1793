"""The nvtx and torch emitters: NVTX's own library with a test tool in it, and torch's own profiler.

It does not test Nsight Systems. Only CUDA builds of torch have NVTX; tests/unit/test_nvtx.py has a
stub of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Python

PROGRAM = """
import asyncio, json, sys
import torch, torch.nn as nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.ReLU()
    def forward(self, x):
        return self.b(self.a(x))
net, x = Net(), torch.ones(2, 4)
"""
USE = """
import autoinstr
net(x)
autoinstr.mark("here")
@autoinstr.range("crossing")
async def work():
    await asyncio.sleep(0)
    net(x)
asyncio.run(work())
try:
    net(torch.ones(3, 3))
except RuntimeError:
    pass
"""
MODULES = [("Net", 0), ("Linear", 1), ("ReLU", 1)]


def run(folder: Path, source: str, **env: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(source)
    done = Python(REPO / ".venv/bin/python", folder).run(program, env=env)
    assert done.returncode == 0, done.stderr
    assert "autoinstr: " not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our tool for NVTX, compiled."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    built = tmp_path_factory.mktemp("nvtx") / "tool.so"
    subprocess.run(
        [
            "gcc",
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(built),
            str(REPO / "tests/programs/nvtx_tool.c"),
        ],
        check=True,
        timeout=60,
    )
    return built


HIDDEN = "raise ImportError('the nvtx package is not to be found')"


def calls_of(tool: Path, folder: Path) -> list[list[str]]:
    """call, domain, message, depth or id of each call that reaches the tool from PROGRAM and USE;
    emitter=auto sees the tool."""
    log = folder / "log"
    run(folder, PROGRAM + USE, NVTX_INJECTION64_PATH=str(tool), NVTX_TOOL_LOG=str(log))
    assert not (folder / "autoinstr-runs").exists()
    return [line.split("\t") for line in log.read_text().splitlines()]


def assert_modules(calls: list[list[str]], domain: str) -> None:
    pushes = [
        (message, int(depth))
        for call, its, message, depth in calls
        if (call, its) == ("push", domain)
    ]
    assert pushes == [*MODULES, *MODULES, *MODULES[:2]]
    assert [call for call, its, _, _ in calls if its == domain].count("pop") == len(pushes)


def test_nvtx_with_the_package_reaches_the_tool_by_domain(tool: Path, tmp_path: Path) -> None:
    pytest.importorskip("nvtx", reason="the nvtx package is not installed (make setup installs it)")
    calls = calls_of(tool, tmp_path)
    assert_modules(calls, "Module")
    assert [(call, message) for call, domain, message, _ in calls if domain == "user"] == [
        ("mark", "here"),
        ("start", "crossing"),
        ("end", ""),
    ]


def test_nvtx_through_torch_reaches_the_tool(tool: Path, tmp_path: Path) -> None:
    if not torch_has_nvtx():
        pytest.skip("NVTX is in CUDA builds of torch only")
    (tmp_path / "nvtx.py").write_text(HIDDEN)
    calls = calls_of(tool, tmp_path)
    assert_modules(calls, "")
    assert [
        (call, message) for call, _, message, _ in calls if call in ("mark", "start", "end")
    ] == [
        ("mark", "user: here"),
        ("start", "user: crossing"),
        ("end", ""),
    ]


def torch_has_nvtx() -> bool:
    import torch

    return hasattr(torch._C, "_nvtx")


def test_torch_shows_modules_in_its_own_trace(tmp_path: Path) -> None:
    use = """
from torch.profiler import profile, ProfilerActivity
net(x)
native = nn.Module.__call__ is nn.Module._wrapped_call_impl
import autoinstr
with profile(activities=[ProfilerActivity.CPU]) as profiler:
    net(x)
    with autoinstr.range('a "quoted"\\n \\\\ name'):
        pass
    try:
        net(torch.ones(3, 3))
    except RuntimeError:
        pass
after = nn.Module.__call__ is nn.Module._wrapped_call_impl
profiler.export_chrome_trace("trace.json")
print(json.dumps([native, after]))
"""
    done = run(tmp_path, PROGRAM + use, AUTOINSTR_EMITTER="torch")
    assert json.loads(done.stdout) == [True, True]
    events = [
        event
        for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        if event.get("ph") == "X"
    ]
    assert [event["name"] for event in events if "quoted" in event["name"]] == [
        "user: a 'quoted'  / name"
    ]
    found = {
        name: [event for event in events if event["name"] == name]
        for name in ("Net", "Linear", "ReLU")
    }
    assert {name: len(its) for name, its in found.items()} == {"Net": 2, "Linear": 2, "ReLU": 1}
    assert _inside(found["Linear"][0], found["Net"][0]) and _inside(
        found["ReLU"][0], found["Net"][0]
    )
    assert any(
        _inside(event, found["Linear"][0]) for event in events if event["name"] == "aten::addmm"
    )


def test_what_cannot_be_had_is_one_line_and_no_range(tmp_path: Path) -> None:
    if torch_has_nvtx():
        pytest.skip("this torch has NVTX")
    (tmp_path / "nvtx.py").write_text(HIDDEN)
    (tmp_path / "program.py").write_text(PROGRAM + "print(net(x).shape)\n")
    done = Python(REPO / ".venv/bin/python", tmp_path).run(
        tmp_path / "program.py", env={"AUTOINSTR_EMITTER": "nvtx"}
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("autoinstr: ")]
    assert done.returncode == 0 and done.stdout == "torch.Size([2, 4])\n"
    assert len(lines) == 1 and "no NVTX" in lines[0], done.stderr


MISSED = {
    "torch_npu was never imported": {"EMITTER": "mstx,recorder"},
    "nothing that the filters keep was called": {
        "EMITTER": "torch",
        "EXCLUDE": "*",
        "WHEN": "always",
    },
    "no profiler ran": {"EMITTER": "torch", "LOG": "info"},
}


@pytest.mark.parametrize("why", MISSED)
def test_who_gets_no_range_is_told_why(tmp_path: Path, why: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "net(x)\n")
    env = {f"AUTOINSTR_{name}": value for name, value in MISSED[why].items()}
    done = Python(REPO / ".venv/bin/python", tmp_path).run(program, env=env)
    lines = [line for line in done.stderr.splitlines() if line.startswith("autoinstr: ")]
    assert done.returncode == 0 and not done.stdout
    assert len(lines) == 1 and "no range was written" in lines[0] and why in lines[0], done.stderr


def _inside(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    return bool(
        outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    )
