"""Test every way to start a child process: the agent is on in it, and it writes to the run
directory of its first ancestor."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.conftest import GATE, Python

JOB = """
import json, multiprocessing, os, subprocess, sys
from concurrent.futures import ProcessPoolExecutor

def state(_=None):
    import sys, os
    hook = sys.modules.get("autoinstr.instrument.importhook")
    on = hook is not None and any(
        type(finder).__module__ == hook.__name__ for finder in sys.meta_path
    )
    return [on, os.environ.get("AUTOINSTR"), os.environ.get("_AUTOINSTR_DEFAULT_OUT"), os.getpid()]

def in_process(how):
    if how == "pool":
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(sys.argv[2])) as pool:
            return pool.submit(state).result()
    if how == "context":
        context = multiprocessing.get_context(sys.argv[2])
        queue = context.Queue()
        process = context.Process(target=send, args=(queue,))
        process.start()
        answer = queue.get()
        process.join()
        return answer
    if how == "fork":
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, json.dumps(state()).encode())
            os._exit(0)
        os.wait()
        return json.loads(os.read(read, 4096))
    program = f"import json, runpy; print(json.dumps(runpy.run_path({__file__!r})['state']()))"
    if how == "subprocess":
        command = [sys.executable, "-c", program]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    if how == "shell":
        command = f'cd / && "{sys.executable}" -'
        run = subprocess.run(command, shell=True, input=program.encode(), stdout=subprocess.PIPE)
        return json.loads(run.stdout)
    if how == "posix_spawn":
        read, write = os.pipe()
        command = [sys.executable, "-c", program]
        actions = [(os.POSIX_SPAWN_DUP2, write, 1)]
        pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        os.waitpid(pid, 0)
        return json.loads(os.read(read, 4096))
    if how == "exec":
        sys.stdout.flush()
        child = f"runpy.run_path({__file__!r})['state']()"
        program = f"import json, runpy; print(json.dumps([{state()!r}, {child}]))"
        os.execv(sys.executable, [sys.executable, "-c", program])

def send(queue):
    queue.put(state())

if __name__ == "__main__":
    mine = state()
    os.chdir("/")
    answer = in_process(sys.argv[1])
    print(json.dumps([mine, answer]))
"""

WAYS = [
    ("fork",),
    ("subprocess",),
    ("shell",),
    ("posix_spawn",),
    ("exec",),
    *((how, method) for how in ("context", "pool") for method in ("fork", "spawn", "forkserver")),
]


@pytest.fixture
def job(bare: Python) -> Path:
    file = bare.cwd / "job.py"
    file.write_text(JOB)
    return file


@pytest.mark.parametrize("way", WAYS, ids="-".join)
@pytest.mark.parametrize("by", ["environment", "-X"])
def test_a_child_is_on_and_agrees(bare: Python, job: Path, way: tuple[str, ...], by: str) -> None:
    run = bare.run(
        *(("-X", "autoinstr") if by == "-X" else ()), job, *way, on=None if by == "-X" else "1"
    )
    assert run.returncode == 0, run.stderr
    parent, child = json.loads(run.stdout)
    assert parent[:2] == child[:2] == [True, "1"]
    assert parent[2] == child[2] and parent[2].startswith(f"{bare.cwd}/autoinstr-runs/")
    assert (parent[3] == child[3]) == (way == ("exec",))
    if way != ("fork",) and sys.version_info < (3, 12):
        assert (
            run.stderr == ""
            # Python 3.12 warns of a fork in a process with threads (ProcessPoolExecutor has some),
            # with or without the agent.
        )


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_a_child_of_a_process_that_is_off_is_off(
    bare: Python, job: Path, way: tuple[str, ...]
) -> None:
    run = bare.run(job, *way, on=None)
    assert [state[0] for state in json.loads(run.stdout)] == [False, False]


def test_a_forkserver_with_a_preload(bare: Python) -> None:
    """torch preloaded in the forkserver: its children are forked from an instrumented process."""
    fake_torch(bare.cwd)
    job = bare.cwd / "job.py"
    job.write_text(
        "import multiprocessing, sys\ndef work(_):\n    import torch\n    return torch.activated\n"
        "if __name__ == '__main__':\n    context = multiprocessing.get_context('forkserver')\n"
        "    context.set_forkserver_preload(['torch'])\n"
        "    with context.Pool(1) as pool:\n        print(pool.map(work, [1]))\n"
    )
    sitecustomize = bare.cwd / "next"
    sitecustomize.mkdir()
    (sitecustomize / "sitecustomize.py").write_text(STAND_IN)
    assert bare.run(job, path=(GATE, sitecustomize, bare.cwd)).stdout == "[1]\n"


# The gate's own callback, with a stand-in for what it calls: this is about when, not about what.
STAND_IN = """
import sys, types
bootstrap = types.ModuleType("autoinstr.agent.bootstrap")
def activate():
    torch = sys.modules["torch"]
    torch.activated = getattr(torch, "activated", 0) + 1
    assert torch.finished
bootstrap.activate = activate
if "autoinstr" in sys.modules:
    import autoinstr.agent
    sys.modules["autoinstr.agent.bootstrap"] = autoinstr.agent.bootstrap = bootstrap
"""


def fake_torch(folder: Path, source: str = "finished = True\n") -> None:
    (folder / "torch").mkdir(exist_ok=True)
    (folder / "torch" / "__init__.py").write_text(source)


def test_activation_is_called_once_with_torch_complete(bare: Python) -> None:
    fake_torch(bare.cwd)
    (bare.cwd / "sitecustomize.py").write_text(STAND_IN)
    program = (
        "import importlib.util\nassert importlib.util.find_spec('torch')\n"
        "import torch; print(torch.activated)"
    )
    run = bare.run("-c", program, path=(GATE, bare.cwd))
    assert (run.stdout, run.stderr) == ("1\n", "")


def test_torch_imported_by_the_next_sitecustomize(bare: Python) -> None:
    fake_torch(bare.cwd)
    (bare.cwd / "sitecustomize.py").write_text(STAND_IN + "import torch\n")
    assert (
        bare.run("-c", "import torch; print(torch.activated)", path=(GATE, bare.cwd)).stdout
        == "1\n"
    )


def test_an_activation_that_fails_costs_one_line(bare: Python) -> None:
    fake_torch(bare.cwd)
    (bare.cwd / "sitecustomize.py").write_text(
        STAND_IN.replace("assert torch.finished", "raise OSError('no\\nspace')")
    )
    run = bare.run("-c", "import torch; print(torch.finished)", path=(GATE, bare.cwd))
    assert (run.returncode, run.stdout) == (0, "True\n")
    assert run.stderr.startswith("autoinstr: off in process ") and run.stderr.endswith(
        ": OSError: no space\n"
    )


def test_real_torch_is_patched_only_once_it_is_imported(python: Python) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    program = (
        "import sys\nbefore = [m for m in sys.modules if m.startswith('autoinstr') and m != "
        "'autoinstr._pth']\nimport torch\n"
        "own = torch.nn.Module.__dict__['__call__'] is "
        "torch.nn.Module.__dict__['_wrapped_call_impl']\n"
        "print(before, own, torch.nn.Linear(2, 2)(torch.ones(2)).shape)"
    )
    run = python.run("-c", program, on="emitter=recorder,when=always", timeout=300)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    assert run.stdout == (
        "['autoinstr', 'autoinstr.instrument', "
        "'autoinstr.instrument.importhook'] False torch.Size([2])\n"
    )
    assert [file.suffix for file in python.cwd.glob("autoinstr-runs/*/*")].count(".airec") == 1
    native = python.run("-c", program, on=None, timeout=300)
    assert native.stdout == "[] True torch.Size([2])\n"
    assert os.path.isdir(python.cwd)
