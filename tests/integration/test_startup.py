"""Test the cost for a process that never imports torch: it loads four modules of this package and
nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python

OURS = ["_autoinstr_gate", "autoinstr", "autoinstr.instrument", "autoinstr.instrument.importhook"]
FORBIDDEN = [
    "__future__",
    "asyncio",
    "collections",
    "contextlib",
    "ctypes",
    "dataclasses",
    "enum",
    "functools",
    "importlib",
    "importlib.metadata",
    "importlib.util",
    "inspect",
    "json",
    "logging",
    "mmap",
    "re",
    "socket",
    "struct",
    "structlog",
    "subprocess",
    "tempfile",
    "threading",
    "tomllib",
    "types",
    "typing",
    "warnings",
    "wrapt",
]
LIST = "import sys; modules = sorted(sys.modules); import json; print(json.dumps(modules))"


def modules(python: Python, **more: object) -> set[str]:
    run = python.run("-S" if more.pop("no_site", False) else "-s", "-c", LIST, **more)  # type: ignore[arg-type]
    assert run.stderr == ""
    return set(json.loads(run.stdout))


def test_on_without_torch_there_are_four_modules_more(bare: Python) -> None:
    native = modules(bare, path=(), on=None)
    assert sorted(modules(bare) - native) == OURS
    assert sorted(modules(bare, on="emitter=recorder,out=x") - native) == OURS


def test_off_there_are_none(bare: Python) -> None:
    native = modules(bare, path=(), on=None)
    assert modules(bare, on=None) == native
    assert modules(bare, on="0") == native
    assert modules(bare, on="off") - native == {"_autoinstr_gate"}


@pytest.mark.parametrize("forbidden", FORBIDDEN)
def test_no_module_is_imported_that_bare_python_does_not_import(
    bare: Python, forbidden: str
) -> None:
    if forbidden in modules(bare, path=(), on=None):
        assert (
            forbidden not in OURS
        )  # this interpreter, or a .pth of its environment, imports it at start-up anyway
    else:
        assert forbidden not in modules(bare)


def test_no_file_and_no_thread_is_made(bare: Python) -> None:
    program = (
        "import os; print(len(os.listdir('/proc/self/task')), sorted(os.listdir('/proc/self/fd')))"
    )
    run = bare.run("-c", program)
    assert run.stdout == bare.run("-c", program, path=(), on=None).stdout
    assert list(bare.cwd.iterdir()) == []


def test_nothing_is_opened_for_writing(bare: Python) -> None:
    """An audit hook sees every open of the gate and the import hook: only sources and caches of
    ours, and only for reading."""
    watch = bare.cwd / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(
        "import sys\nopened = []\ndef hook(event, args):\n"
        "    if event in ('open', 'socket.__new__', '_thread.start_new_thread', "
        "'subprocess.Popen', 'os.fork'):\n"
        "        opened.append([event, str(args[0]), args[1:] and str(args[1])])\n"
        "sys.addaudithook(hook)\nsys.opened = opened\n"
        "sys.path.remove(__import__('os').path.dirname(__file__))\n"
        "del sys.modules['sitecustomize']\nimport sitecustomize\n"
    )
    program = "import sys; seen = list(sys.opened); import json; print(json.dumps(seen))"
    run = bare.run("-B", "-c", program, path=(watch, GATE))
    seen = json.loads(run.stdout)
    assert seen and {event for event, _, _ in seen} == {"open"}
    ours = (str(GATE), str(REPO / "autoinstr"))
    assert [
        row for row in seen if not row[1].startswith(ours) or row[2] not in ("r", "rb", "None")
    ] == []


def test_stdout_stays_empty_whatever_is_wrong(bare: Python) -> None:
    for on in (
        "1",
        "emitter=nonsense",
        "nonsense=1",
        "missing.toml",
        "\x01",
        "é",
        "out=/dev/null/x",
    ):
        run = bare.run("-c", "0", on=on)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", ""), on
    assert Path(bare.cwd).is_dir()
