"""AUTOINSTR_PROFILER over the arguments that programs give to torch.profiler.profile.

The named parameters change; all others stay."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Python
from tests.programs import PROGRAMS
from tests.support.recorded import ranges, the_recording

PARAMETERS = "record_shapes=true;with_stack=on;profile_memory=0;acc_events=yes"


def built(python: Python, parameters: str | None, **env: str) -> tuple[dict[str, Any], str]:
    """What tests/programs/parameters.py prints, and stderr."""
    if parameters is not None:
        env["AUTOINSTR_PROFILER"] = parameters
    done = python.run(PROGRAMS / "parameters.py", on=None if parameters is None else "1", env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), "\n".join(
        line for line in done.stderr.splitlines() if line.startswith("autoinstr")
    )


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found, _ = built(Python(sys.executable, tmp_path_factory.mktemp("native")), None)
    assert found["warned at"] == ["parameters.py"] * found["has use_cuda"]
    assert found["ready at"] == [3, 6]
    return found


def test_without_parameters_nothing_changes(python: Python, native: dict[str, Any]) -> None:
    assert built(python, "enable=off") == (native, "")


def test_named_parameters_are_set_and_no_others(python: Python, native: dict[str, Any]) -> None:
    found, said = built(python, PARAMETERS)
    wanted = {
        "record_shapes": True,
        "with_stack": True,
        "profile_memory": False,
        "acc_events": True,
    }
    for what in ("bare", "given", "subclass"):
        assert found[what] == {**native[what], **wanted}, what
    assert said == ""
    # errors and warnings are the caller's own
    for what in ("positional", "unknown", "warned at", "ready at", "help"):
        assert found[what] == native[what], what


def test_activities_that_this_torch_has_not_are_left_out(
    python: Python, native: dict[str, Any]
) -> None:
    """And fields of the experimental config are added to the program's."""
    found, said = built(python, "activities=cpu,npu;profile_all_threads=true")
    assert found["bare"]["activities"] == ["CPU"]
    assert "npu" in said and said.count("\n") == 0
    before, after = native["given"]["experimental"], found["given"]["experimental"]
    assert [(old, new) for old, new in zip(before, after) if old != new] == [("False", "True")]
    assert before.count("True") == 1
    assert found["bare"]["experimental"].count("True") == 1


def test_a_schedule(python: Python, native: dict[str, Any]) -> None:
    """Of the activities nothing is left: they are as the program has them."""
    found, _ = built(python, "activities=npu;schedule=wait:2,warmup:1,active:2,repeat:1")
    steps = ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE"]
    assert found["bare"] == {**native["bare"], "schedule": steps}
    assert found["ready at"] == [5]


def test_traces_go_to_a_directory(python: Python, native: dict[str, Any], tmp_path: Path) -> None:
    """What torch_npu alone has is known, and changes nothing."""
    of_npu = "level=Level1;aic_metrics=PipeUtilization;l2_cache=false;export_type=db"
    found, said = built(python, f"{of_npu};on_trace_ready={tmp_path / 'traces'}")
    assert (found, said) == ({**native, "ready at": []}, "")
    assert len(list((tmp_path / "traces").glob("*.pt.trace.json"))) == 2


BAD = {
    "with_stak": ("true", "is unknown; did you mean with_stack=true?"),
    "with_stack": ("ture", "must be on or off; did you mean with_stack=true?"),
    "activities": ("cpu,gpu", "'gpu' is not one of cpu, cuda"),
    "schedule": ("wait:1,warm:1,active:2", "did you mean schedule=warmup:1?"),
    "use_cuda": ("1", "cannot be set from outside: write activities"),
    "post_processing_timeout_s": ("0", "must be a number of seconds above 0"),
}


def test_a_bad_pair_costs_one_line_and_itself(python: Python, native: dict[str, Any]) -> None:
    pairs = ";".join(f"{name}={value}" for name, (value, _) in BAD.items())
    found, said = built(python, f"{pairs};with_flops=true")
    lines = {line.split()[3].partition("=")[0]: line for line in said.splitlines()}
    assert len(said.splitlines()) == len(BAD)
    for name, (_, words) in BAD.items():
        assert words in lines[name]
    assert found["bare"] == {**native["bare"], "with_flops": True}


@pytest.mark.parametrize("name", BAD)
def test_the_command_line_refuses_it(python: Python, name: str) -> None:
    pair = f"{name}={BAD[name][0]}"
    done = python.run(
        "-m",
        "autoinstr",
        "run",
        f"--profiler=with_flops=true;{pair}",
        "--",
        "true",
        path=(REPO,),
        on=None,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"autoinstr: error: profiler={pair!r} (--profiler): ")


def test_the_line_is_said_once_a_run(python: Python) -> None:
    """Children of a process that has said it keep silent."""
    program = (
        "import torch, subprocess, sys; subprocess.run([sys.executable, '-c', 'import torch'])"
    )
    done = python.run("-c", program, env={"AUTOINSTR_PROFILER": "colour=red"})
    assert done.stderr.count("colour=red") == 1


def test_two_profilers_at_once_are_what_they_are_without_us(python: Python) -> None:
    """torch lets the second start, and the first stop ends both; with when=profiling ranges are
    recorded for as long."""
    program = """
import torch
from torch.profiler import profile
def said(call):
    try: call()
    except Exception as error: return f"{type(error).__name__}: {str(error)[:60]}"
net = torch.nn.Linear(2, 2)
x = torch.ones(1, 2)
first, second = profile(), profile()
print(said(first.stop), said(first.stop))
net(x)
first.start(); print(said(second.start)); net(x); first.stop(); print(said(first.stop)); net(x)
with profile(): net(x)
net(x)
"""
    out = python.cwd / "out"
    native = python.run("-c", program, on=None)
    agent = python.run(
        "-c", program, env={"AUTOINSTR_WHEN": "profiling", "AUTOINSTR_OUT": str(out)}
    )
    assert agent.stdout == native.stdout
    assert agent.returncode == native.returncode == 0
    assert len(ranges(the_recording(out))) == 2
