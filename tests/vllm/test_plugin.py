"""The entry point vllm.general_plugins, of the installed wheel, called by the real vLLM, where no
gate ran and where one did."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

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
LOAD = """
import json, os, sys
import torch
from vllm.plugins import load_general_plugins
before = torch.nn.Module.__call__
for name, value in json.loads(os.environ.get("LATE", "{}")).items():
    os.environ[name] = value
load_general_plugins()
load_general_plugins()
import vllm.plugins
vllm.plugins.plugins_loaded = False
load_general_plugins()
torch.nn.Linear(2, 2)(torch.ones(2))
ours = [name for name in sys.modules if name.split(".")[0] == "autoinstr"]
ours = sorted(name for name in ours if name.count(".") < 2)
print(json.dumps({
    "finders": sum(type(finder).__module__.startswith("autoinstr") for finder in sys.meta_path),
    "swapped": torch.nn.Module.__call__ is not torch.nn.Module._wrapped_call_impl,
    "same": torch.nn.Module.__call__ is before, "ours": ours,
    "exported": os.environ.get("AUTOINSTR"),
}))
"""


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


@pytest.fixture
def load(tmp_path: Path, installed: Path):  # type: ignore[no-untyped-def]
    """Runs LOAD: load(isolated, environment…) -> what it printed, and its standard error."""
    script = tmp_path / "load.py"
    script.write_text(LOAD)

    def run(isolated: bool, **env: str) -> tuple[dict[str, object], str]:
        flags = ["-I", "-S"] if isolated else []
        environ = clean_environment(
            VLLM_PLUGINS="autoinstr", AUTOINSTR_OUT=str(tmp_path / "run"), **env
        )
        command = [sys.executable, *flags, str(write_driver(tmp_path, installed, script))]
        ended = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, cwd=tmp_path
        )
        assert ended.returncode == 0, ended.stderr
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        return json.loads(lines[-1]), "\n".join(
            line for line in ended.stderr.splitlines() if "autoinstr" in line
        )

    return run


def messages(recording: Recording) -> set[str]:
    """What function targets and marks have in this recording, by name."""
    return {one.message for kind in ("range", "mark") for one in recorded.named(recording, kind)}


def test_where_no_gate_ran(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    said, stderr = load(True, AUTOINSTR="1")
    assert (said["finders"], said["swapped"], stderr) == (1, True, "")
    assert recorded.counts(recorded.ranges(recorded.the_recording(tmp_path / "run"))) == {
        "Linear||Linear": 1
    }


@pytest.mark.parametrize("value", [None, "", "0", "off"])
def test_off_unless_asked_for(value: str | None, load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    said, stderr = load(True, **({} if value is None else {"AUTOINSTR": value}))
    assert (said["finders"], said["swapped"], said["ours"], stderr) == (
        0,
        False,
        ["autoinstr", "autoinstr._pth", "autoinstr.plugin"],
        "",
    )
    assert said["exported"] == value
    assert not (tmp_path / "run").exists()


def test_an_environment_that_comes_late(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """As Ray's workers get it: torch and vLLM are imported by then."""
    said, stderr = load(True, LATE=json.dumps({"AUTOINSTR": "exclude=Linear"}))
    assert (said["finders"], said["swapped"], said["exported"]) == (1, True, "exclude=Linear")
    assert (
        "no range was written: nothing that the filters keep was called" in stderr
        and stderr.count("\n") <= 1
    )


def test_with_the_gate_on_nothing_is_done_twice(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    said, stderr = load(False, AUTOINSTR="1", PYTHONPATH=str(GATE))
    assert (said["finders"], said["swapped"], said["same"], stderr) == (1, True, True, "")
    assert recorded.counts(recorded.ranges(recorded.the_recording(tmp_path / "run"))) == {
        "Linear||Linear": 1
    }


def test_an_engine_that_no_gate_reaches(
    eager: Pair, model: Path, installed: Path, tmp_path: Path
) -> None:
    """The API process, the EngineCore and the Worker each start the agent by the plugin; every
    module call is there."""
    script = EXAMPLES / "offline_vllm.py"
    place = Place(tmp_path / "place", agent=False, plugins=["count", "autoinstr"])
    environ = {**place.environ, "AUTOINSTR": "1", "AUTOINSTR_OUT": str(tmp_path / "run")}
    driver = write_driver(tmp_path, installed, script, place.folder / "packages")
    command = [sys.executable, "-I", "-S", str(driver), str(model), "--json"]
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
