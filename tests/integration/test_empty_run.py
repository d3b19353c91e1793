"""A run without a range logs one line that says why; a run with ranges, or without torch, none.

Programs that need only `torch.nn.Module` get the stand-in of tests/stub, whose import takes no
time. What needs an emitter, a profiler or a real module call has the real torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.support.recorded import recordings

STUB = REPO / "tests" / "stub"
PROGRAM = """
import subprocess, sys
import torch
class Net(torch.nn.Module):
    def forward(self, x):
        return x
net = Net()
for word in sys.argv[1:]:
    if word == "call":
        net(1)
    elif word == "fail":
        raise KeyError("never")
    elif word != "rest":
        subprocess.run([sys.executable, __file__, word.partition(":")[2]], check=True)
"""


def said(
    folder: Path,
    *words: str,
    status: int = 0,
    source: str = PROGRAM,
    asked: bool = False,
    real: bool = False,
    **options: str,
) -> list[str]:
    """What the agent has written on stderr. asked: by `autoinstr run`, else by the environment.
    real: with the real torch."""
    program = folder / "program.py"
    program.write_text(source)
    env = {f"AUTOINSTR_{name.upper()}": value for name, value in options.items()}
    python = Python(REPO / ".venv/bin/python", folder)
    command = ["-m", "autoinstr", "run", "--", python.executable, program] if asked else [program]
    path = (GATE,) if real else (GATE, STUB)
    done = python.run(*command, *words, path=path, env=env, on=None if asked else "1")
    assert done.returncode == status and not done.stdout, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("autoinstr: ")]


NOTHING = {
    "no profiler ran": ["call", "emitter=torch"],
    "no profiler ran; start one": ["call", "when=profiling", "asked="],
    "no NVTX tool is in this process": ["call", "emitter=nvtx"],
    "torch_npu was never imported": ["call", "emitter=mstx"],
    "no nn.Module and no target was called": ["asked="],
    "nothing that the filters keep was called": ["call", "exclude=*"],
    "the window begins after the last step (1 were counted)": ["call", "window=10:"],
}


@pytest.mark.parametrize("why", NOTHING)
def test_a_run_without_a_range_is_one_line_that_says_what_to_do(tmp_path: Path, why: str) -> None:
    words = [word for word in NOTHING[why] if "=" not in word]
    options = dict(word.split("=", 1) for word in NOTHING[why] if "=" in word)
    asked = options.pop("asked", None) is not None
    lines = said(tmp_path, *words, asked=asked, real=True, **options)
    assert (
        len(lines) == 1
        and f"no range was written: {why}" in lines[0]
        and "level=warning" in lines[0]
    )


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_filter_that_matches_nothing_has_the_nearest_one(tmp_path: Path, option: str) -> None:
    """Also `exclude`, which leaves a run with ranges."""
    lines = said(tmp_path, "call", asked=True, real=True, **{option: "Nett"})
    assert len(lines) == 1 and "level=warning" in lines[0]
    assert f"""filter="{option} 'Nett'" nearest='Net (1 module)'""" in lines[0]


def test_a_run_whose_children_have_none_either_is_one_line(tmp_path: Path) -> None:
    lines = said(tmp_path, "child:rest", "child:rest", asked=True)
    assert len(lines) == 1 and "no nn.Module and no target was called" in lines[0]


@pytest.mark.parametrize("words", [["call"], ["child:call"]], ids=["itself", "child"])
def test_who_records_is_told_nothing(tmp_path: Path, words: list[str]) -> None:
    assert said(tmp_path, *words) == []


def test_recordings_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    """The same `out` again: a report would show the other run's figures."""
    assert said(tmp_path, "call", out="same") == []
    assert len(said(tmp_path, out="same", asked=True)) == 1
    assert len({one.header["run"] for one in recordings(tmp_path / "same")}) == 1


def test_processes_of_a_run_agree_which_it_is(tmp_path: Path) -> None:
    said(tmp_path, "call", "child:call", out="same")
    found = recordings(tmp_path / "same")
    assert len(found) == 2 and len({one.header["run"] for one in found}) == 1


def test_a_program_that_fails_has_its_own_line(tmp_path: Path) -> None:
    assert said(tmp_path, "fail", status=1) == []


def test_what_waits_for_ctl_is_silent(tmp_path: Path) -> None:
    """A fleet's services are made ready so, and most of them are never looked at."""
    assert said(tmp_path, "call", when="manual", asked=True) == []
    lines = said(tmp_path, "call", when="manual", log="info", out="here")
    assert [
        line
        for line in lines
        if line.startswith(f"autoinstr: recording folder={tmp_path}/here level=info")
    ]
    assert [
        line
        for line in lines
        if f"it was not switched on; autoinstr ctl on {tmp_path}/here" in line
        and "level=info" in line
    ]


@pytest.mark.parametrize(
    "words", [["call", "when=profiling"], []], ids=["waits for a profiler", "calls nothing"]
)
def test_a_container_whose_environment_has_the_agent_is_silent(
    tmp_path: Path, words: list[str]
) -> None:
    options = dict(word.split("=", 1) for word in words if "=" in word)
    words = [word for word in words if "=" not in word]
    real = "when" in options
    assert said(tmp_path, *words, real=real, **options) == []
    lines = said(tmp_path, *words, log="info", real=real, **options)
    assert [line for line in lines if "no range was written" in line and "level=info" in line]


def test_a_forked_child_says_nothing(tmp_path: Path) -> None:
    source = "import os, sys, torch\nif not os.fork():\n    sys.exit()\nos.wait()\n"
    assert len(said(tmp_path, source=source, asked=True)) == 1


def test_children_that_are_joined_after_the_end_are_waited_for(tmp_path: Path) -> None:
    source = """
import multiprocessing, time, torch
def work():
    time.sleep(1)
    Net()(1)
class Net(torch.nn.Module):
    def forward(self, x):
        return x
if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work).start()
"""
    assert said(tmp_path, source=source) == []


def test_who_never_loads_torch_is_told_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, source="import json", emitter="torch") == []


BAD = """
import multiprocessing, torch
def work():
    pass
if __name__ == "__main__":
    for _ in range(2):
        child = multiprocessing.get_context("spawn").Process(target=work)
        child.start()
        child.join()
"""


def test_a_bad_value_is_said_once_and_another_one_again(tmp_path: Path) -> None:
    lines = said(tmp_path, source=BAD, when="foo")
    assert len(lines) == 1 and "AUTOINSTR_WHEN" in lines[0]
    lines = said(
        tmp_path,
        source=BAD.replace(
            "for _ in range(2)",
            "import os; os.environ['AUTOINSTR_WHEN'] = 'bar'\n    for _ in range(1)",
        ),
        when="foo",
    )
    assert ["foo" in line for line in lines] == [True, False] and "bar" in lines[1]


ROWS = """
[[autoinstr.custom_target]]
name = "mine.{number}"
target = "{target}"
"""
SCRIPT = """
import torch, subprocess, sys
class Net(torch.nn.Module):
    def forward(self, x):
        return x
Net()(1)
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", "import torch, other; other.work()"], check=True)
"""
UNFOUND = {
    "program:Net.forward": "a target is in the script itself",
    "__main__:Net.forward": "a target is in the script itself",
    "other:work": "the module of a target was never imported",
    "no_such:work": "the module of a target does not exist",
}


def rows(folder: Path, *targets: str) -> str:
    (folder / "other.py").write_text("def work():\n    pass\n")
    file = folder / "rows.toml"
    file.write_text(
        "[autoinstr]\n"
        + "".join(ROWS.format(number=at, target=target) for at, target in enumerate(targets))
    )
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize("target", UNFOUND)
def test_a_row_of_ones_own_that_wrapped_nothing_is_one_line(tmp_path: Path, target: str) -> None:
    lines = said(tmp_path, source=SCRIPT, config=rows(tmp_path, target))
    assert len(lines) == 1 and UNFOUND[target] in lines[0] and "target=mine.0" in lines[0]


def test_rows_with_one_reason_are_one_line(tmp_path: Path) -> None:
    lines = said(tmp_path, source=SCRIPT, config=rows(tmp_path, *UNFOUND))
    assert len(lines) == 3 and [
        line for line in lines if "target=mine.0,mine.1 module=program,__main__ " in line
    ]


def test_a_row_that_a_child_has_wrapped_is_none_of_them(tmp_path: Path) -> None:
    assert said(tmp_path, "child", source=SCRIPT, config=rows(tmp_path, "other:work")) == []


def test_a_function_of_the_script_above_its_import_of_torch_is_wrapped(tmp_path: Path) -> None:
    source = "def work():\n    pass\nimport torch\nwork()\n"
    assert said(tmp_path, source=source, config=rows(tmp_path, "__main__:work")) == []
    assert [
        name.message
        for one in recordings(next((tmp_path / "autoinstr-runs").iterdir()))
        for name in one.names.values()
    ] == ["mine.0"]


def test_where_a_child_may_have_written_to_a_tool_it_is_not_known_here(tmp_path: Path) -> None:
    """The profiler may have run there."""
    source = """
import subprocess, sys, torch
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 1.2: pass"],
    check=True)
"""
    assert said(tmp_path, source=source, emitter="torch", real=True) == []
    assert (
        len(said(tmp_path, source=source, emitter="nvtx", real=True)) == 1
    )  # whose tool is in all processes or in none
