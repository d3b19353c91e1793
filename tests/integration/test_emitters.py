"""The nvtx and torch emitters: NVTX's own library with a tool of ours loaded into it, torch's own profiler.

What this leaves unproved: Nsight Systems itself, and torch.cuda.nvtx of a CUDA build (tests/unit/test_nvtx.py has a stub in its place).
"""

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
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(built), str(REPO / "tests/programs/nvtx_tool.c")], check=True, timeout=60)
    return built


def test_nvtx_with_the_package_reaches_the_tool_by_domain(tool: Path, tmp_path: Path) -> None:
    pytest.importorskip("nvtx", reason="the nvtx package is not installed (make setup installs it)")
    log = tmp_path / "log"
    run(tmp_path, PROGRAM + USE, NVTX_INJECTION64_PATH=str(tool), NVTX_TOOL_LOG=str(log))  # emitter=auto sees the tool
    calls = [line.split("\t") for line in log.read_text().splitlines()]
    modules = [(message, int(depth)) for call, domain, message, depth in calls if (call, domain) == ("push", "Module")]
    assert modules == [*MODULES, *MODULES, *MODULES[:2]]
    assert [call for call, domain, _, _ in calls if domain == "Module"].count("pop") == len(modules)
    assert [(call, message) for call, domain, message, _ in calls if domain == "user"] == [
        ("mark", "here"),
        ("start", "crossing"),
        ("end", ""),
    ]
    assert not (tmp_path / "autoinstr-runs").exists()


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
    events = [event for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"] if event.get("ph") == "X"]
    assert [event["name"] for event in events if "quoted" in event["name"]] == ["user: a 'quoted'  / name"]
    found = {name: [event for event in events if event["name"] == name] for name in ("Net", "Linear", "ReLU")}
    assert {name: len(its) for name, its in found.items()} == {"Net": 2, "Linear": 2, "ReLU": 1}
    assert _inside(found["Linear"][0], found["Net"][0]) and _inside(found["ReLU"][0], found["Net"][0])
    assert any(_inside(event, found["Linear"][0]) for event in events if event["name"] == "aten::addmm")


def test_what_cannot_be_had_is_one_line_and_no_range(tmp_path: Path) -> None:
    (tmp_path / "nvtx.py").write_text("raise ImportError('not here')")
    (tmp_path / "program.py").write_text(PROGRAM + "print(net(x).shape)\n")
    done = Python(REPO / ".venv/bin/python", tmp_path).run(tmp_path / "program.py", env={"AUTOINSTR_EMITTER": "nvtx"})
    lines = [line for line in done.stderr.splitlines() if line.startswith("autoinstr: ")]
    assert done.returncode == 0 and done.stdout == "torch.Size([2, 4])\n"
    assert len(lines) == 1 and "no NVTX" in lines[0], done.stderr


MISSED = {
    "torch_npu was never imported": {"EMITTER": "mstx,recorder"},
    "nothing that the filters keep was called": {"EMITTER": "torch", "EXCLUDE": "*", "WHEN": "always"},
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
    return bool(outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"])
