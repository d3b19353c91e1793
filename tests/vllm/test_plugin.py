"""The entry point vllm.general_plugins, of the installed wheel, called by the real vLLM, where no
gate ran and where one did."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.conftest import GATE, REPO, clean_environment
from tests.support import recorded
from tests.vllm.conftest import Pair
from tests.vllm.engines import EXAMPLES, LIMIT_S, Place, module_calls

# Isolated and without site: no PYTHONPATH, no .pth, no sitecustomize, in children as well. What a
# Python needs is put on its path by hand.
DRIVER = """
import os, runpy, sys
if __name__ == "__main__":
    sys.path[:0] = {first!r}
    sys.path.append({site!r})
    sys.argv[:] = [{script!r}, *sys.argv[1:]]
    runpy.run_path({script!r}, run_name="__main__")
"""
# Loads the plugins as vLLM does, once for each entry of PLAN. One import of vLLM serves all: the
# first of several entries runs in a fork, and each entry has a file for its standard error.
LOAD = """
import json, os, sys
import torch
import vllm.plugins
from vllm.plugins import load_general_plugins
before = torch.nn.Module.__call__
plan = json.loads(os.environ["PLAN"])
if len(plan) > 1:
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
    plan = plan[1:] if child else plan[:1]
for name, value in plan:
    os.environ.pop("AUTOINSTR", None)
    if value is not None:
        os.environ["AUTOINSTR"] = value
    os.environ["AUTOINSTR_OUT"] = os.path.join(os.getcwd(), name + ".run")
    os.dup2(os.open(name + ".err", os.O_CREAT | os.O_WRONLY), 2)
    load_general_plugins()
    load_general_plugins()
    vllm.plugins.plugins_loaded = False
    load_general_plugins()
    vllm.plugins.plugins_loaded = False
    torch.nn.Linear(2, 2)(torch.ones(2))
    ours = [name for name in sys.modules if name.split(".")[0] == "autoinstr"]
    ours = sorted(name for name in ours if name.count(".") < 2)
    said = json.dumps({
        "finders": sum(type(finder).__module__.startswith("autoinstr") for finder in sys.meta_path),
        "swapped": torch.nn.Module.__call__ is not torch.nn.Module._wrapped_call_impl,
        "same": torch.nn.Module.__call__ is before, "ours": ours,
        "exported": os.environ.get("AUTOINSTR"),
    })
    with open(name + ".said", "w") as file:
        file.write(said)
"""
OFF = {"unset": None, "empty": "", "zero": "0", "off": "off"}
ON, LATE, GATED = ("on", "1"), ("late", "exclude=Linear"), ("gated", "1")


class Loaded(NamedTuple):
    """What LOAD found after an entry of PLAN, the agent's log lines, and the run directory."""

    said: dict[str, object]
    stderr: str
    run: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in it, which is no site folder: its .pth is never read, its entry
    points are found."""
    pytest.importorskip(
        "hatchling", reason="hatchling, which builds the wheel, is not installed (make setup)"
    )
    base = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", base / "dist"]
    subprocess.run(build, cwd=REPO, check=True, capture_output=True, env=clean_environment())
    (wheel,) = (base / "dist").iterdir()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        base / "site",
        wheel,
    ]
    subprocess.run(pip, check=True, env=clean_environment(), capture_output=True)
    return base / "site"


def write_driver(folder: Path, installed: Path, script: Path, *more: Path) -> Path:
    driver = folder / "driver.py"
    first = [str(installed), str(script.parent), *map(str, more)]
    driver.write_text(
        DRIVER.format(first=first, site=sysconfig.get_path("purelib"), script=str(script))
    )
    return driver


def load(
    folder: Path, installed: Path, plan: list[tuple[str, str | None]], *flags: str, **env: str
) -> dict[str, Loaded]:
    """Run LOAD and return what it found, by the name of the entry."""
    script = folder / "load.py"
    script.write_text(LOAD)
    environ = clean_environment(VLLM_PLUGINS="autoinstr", PLAN=json.dumps(plan), **env)
    command = [sys.executable, *flags, str(write_driver(folder, installed, script))]
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, cwd=folder
    )
    assert ended.returncode == 0, ended.stderr
    assert "autoinstr: " not in ended.stderr
    return {
        name: Loaded(
            json.loads((folder / f"{name}.said").read_text()),
            "\n".join(
                line
                for line in (folder / f"{name}.err").read_text().splitlines()
                if "autoinstr" in line
            ),
            folder / f"{name}.run",
        )
        for name, _ in plan
    }


@pytest.fixture(scope="module")
def loaded(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    """Without a gate: on in a process of its own; off in four ways, then on, in another one."""
    return load(tmp_path_factory.mktemp("loaded"), installed, [ON, *OFF.items(), LATE], "-I", "-S")


def messages(recording: Recording) -> set[str]:
    """What function targets and marks have in this recording, by name."""
    return {one.message for kind in ("range", "mark") for one in recorded.named(recording, kind)}


def test_where_no_gate_ran(loaded: dict[str, Loaded]) -> None:
    said, stderr, run = loaded["on"]
    assert (said["finders"], said["swapped"], stderr) == (1, True, "")
    assert recorded.counts(recorded.ranges(recorded.the_recording(run))) == {"Linear||Linear": 1}


@pytest.mark.parametrize("name", OFF)
def test_off_unless_asked_for(name: str, loaded: dict[str, Loaded]) -> None:
    said, stderr, run = loaded[name]
    assert (said["finders"], said["swapped"], said["ours"], stderr) == (
        0,
        False,
        ["autoinstr", "autoinstr._pth", "autoinstr.plugin"],
        "",
    )
    assert said["exported"] == OFF[name]
    assert not run.exists()


def test_an_environment_that_comes_late(loaded: dict[str, Loaded]) -> None:
    """As Ray's workers get it: torch and vLLM are imported by then."""
    said, stderr, _ = loaded["late"]
    assert (said["finders"], said["swapped"], said["exported"]) == (1, True, "exclude=Linear")
    assert (
        "no range was written: nothing that the filters keep was called" in stderr
        and stderr.count("\n") <= 1
    )


def test_with_the_gate_on_nothing_is_done_twice(installed: Path, tmp_path: Path) -> None:
    out = tmp_path / "gated.run"
    environ = {"AUTOINSTR": "1", "AUTOINSTR_OUT": str(out), "PYTHONPATH": str(GATE)}
    said, stderr, run = load(tmp_path, installed, [GATED], **environ)["gated"]
    assert (said["finders"], said["swapped"], said["same"], stderr) == (1, True, True, "")
    assert recorded.counts(recorded.ranges(recorded.the_recording(run))) == {"Linear||Linear": 1}


def test_an_engine_that_no_gate_reaches(
    eager: Pair, model: Path, installed: Path, tmp_path: Path
) -> None:
    """The API process, the EngineCore and the Worker each start the agent by the plugin; every
    module call is there."""
    script = EXAMPLES / "offline_vllm.py"
    place = Place(tmp_path / "place", agent=False, plugins=["count", "autoinstr"])
    environ = {**place.environ, "AUTOINSTR": "1", "AUTOINSTR_OUT": str(tmp_path / "run")}
    driver = write_driver(tmp_path, installed, script, place.folder / "packages")
    command = [sys.executable, "-I", "-S", str(driver), str(model), "--json", "--eager"]
    with open(tmp_path / "log", "w") as log:
        ended = subprocess.run(
            command,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT_S,
            cwd=tmp_path,
        )
    assert ended.returncode == 0, (tmp_path / "log").read_text()[-4000:]
    said = json.loads(
        next(line for line in ended.stdout.splitlines() if line.startswith('{"tokens"'))
    )
    assert said["tokens"] == eager.native.tokens
    found = {one.role: one for one in recorded.recordings(tmp_path / "run")}
    assert sorted(found) == ["EngineCore", "MainProcess", "Worker"]
    gated = {one.role: one for one in recorded.recordings(eager.agent.place.out)}
    calls, truth = module_calls(found["Worker"]), place.counts()
    assert Counter(one.cls for one in calls if one.cls in truth) == truth, (
        "as the other plugin has counted"
    )
    assert {(one.path, one.cls) for one in calls} == {
        (one.path, one.cls) for one in module_calls(gated["Worker"])
    }
    for role in (
        "EngineCore",
        "Worker",
    ):  # function targets are applied to what was imported before, too
        assert messages(found[role]) == messages(gated[role]) - {"engine.init"}, (
            "all but what was running when it called the plugin"
        )
