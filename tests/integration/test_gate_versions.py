"""Test the gate on every installed Python: active on CPython 3.9 to 3.14, inactive on others, and
chaining on all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.integration.test_chaining import NEXT, write_next
from tests.support.interpreters import MISSING, SUPPORTED, interpreter

VERSIONS = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
PROGRAM = """
import sys
m = sys.modules.get("sitecustomize")
folders = [p for p in sys.path if p.endswith("next")]
sys.stdout.write("%s %s %s\\n" % (sys.argv, getattr(m, "value", None), folders))
raise SystemExit(7)
"""


@pytest.fixture(params=VERSIONS)
def versioned(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Python]:
    executable = interpreter(request.param)
    if executable is None:
        pytest.skip(MISSING.format(request.param))
    return request.param, Python(executable, tmp_path)


def test_on_where_supported(versioned: tuple[str, Python]) -> None:
    version, python = versioned
    program = "import sys; print('autoinstr.instrument.importhook' in sys.modules)"
    for path in (GATE, REPO):
        run = python.run("-B", "-c", program, path=(path,))
        assert (run.returncode, run.stdout, run.stderr) == (0, f"{version in SUPPORTED}\n", ""), (
            path
        )
        assert python.run("-B", "-c", program, path=(path,), on=None).stdout == "False\n"
    if version == "2.7":
        return  # it refuses -X
    run = python.run("-B", "-X", "autoinstr", "-c", program, on=None)
    assert run.stdout == f"{version in SUPPORTED}\n"


@pytest.mark.parametrize(
    "case",
    [
        "none",
        "normal",
        "value-error",
        "missing-import",
        "import-error-naming-sitecustomize",
        "system-exit",
        "keyboard-interrupt",
    ],
)
def test_chaining(versioned: tuple[str, Python], tmp_path: Path, case: str) -> None:
    version, python = versioned
    source = NEXT[case]
    if version == "2.7" and source is not None:
        source = source.replace(
            "raise ImportError('no', name='sitecustomize')", "raise ImportError('no')"
        )
    folder = write_next(tmp_path / "next", source)
    native = python.run("-B", "-c", PROGRAM, "a", path=(folder,))
    for gate in (GATE, REPO):
        ours = python.run("-B", "-c", PROGRAM, "a", path=(gate, folder))
        lines = ours.stderr.splitlines(True)
        if version in (
            "2.7",
            "3.6",
        ):  # tracebacks cannot be edited there: each frame of ours is two lines
            frames = [i for i, line in enumerate(lines) if f'"{GATE}' in line]
            lines = [
                line for i, line in enumerate(lines) if i not in frames and i - 1 not in frames
            ]
        assert (ours.returncode, ours.stdout, "".join(lines)) == (
            native.returncode,
            native.stdout,
            native.stderr,
        ), gate


def test_pythonpath_stays_what_it_is(versioned: tuple[str, Python]) -> None:
    """Run from our own folder: Python 2 keeps a list's loop variable, which was taken for
    PYTHONPATH once."""
    _, python = versioned
    program = "import os; print(os.environ['PYTHONPATH'])"
    here = Python(python.executable, GATE)
    for path in ((Path("/"), GATE), (GATE, Path("/"))):
        assert (
            here.run("-B", "-c", program, path=path, on=None).stdout
            == ":".join(map(str, path)) + "\n"
        )


def test_left_alone(versioned: tuple[str, Python]) -> None:
    """Python 3.9 has no sys.orig_argv: the command line comes from /proc there."""
    version, python = versioned
    if version not in SUPPORTED:
        return
    for args, wanted in (
        (("-m", "compileall", "-q", "x"), "off"),
        (("-c", "0"), "on"),
        (("-Wignore", "-m", "pip", "--version"), "off"),
    ):
        verdicts = python.cwd / "verdicts"
        verdicts.unlink(missing_ok=True)
        python.run("-B", *args, env={"_AUTOINSTR_VERDICTS": str(verdicts)})
        assert verdicts.read_text().split("\t")[2] == wanted, args


def test_the_import_hook(versioned: tuple[str, Python]) -> None:
    version, python = versioned
    if version not in SUPPORTED:
        return
    (python.cwd / "torch.py").write_text("import sys\nlast = 1\n")
    (python.cwd / "sitecustomize.py").write_text(
        "import sys, types\nstand_in = types.ModuleType('autoinstr.agent.bootstrap')\n"
        "stand_in.activate = lambda: sys.stdout.write('activated %s\\n' % "
        "sys.modules['torch'].last)\n"
        "import autoinstr.agent\nsys.modules['autoinstr.agent.bootstrap'] = "
        "autoinstr.agent.bootstrap = stand_in\n"
    )
    run = python.run(
        "-B", "-c", "import torch, importlib; importlib.reload(torch)", path=(GATE, python.cwd)
    )
    assert (run.stdout, run.stderr) == ("activated 1\nactivated 1\n", "")
    (python.cwd / "sitecustomize.py").unlink()
    (python.cwd / "torch.py").write_text("import sys\n1 / 0\n")
    native = python.run("-B", "-c", "import torch", path=(python.cwd,), on=None)
    ours = python.run("-B", "-c", "import torch", path=(GATE, python.cwd))
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        native.returncode,
        native.stdout,
        native.stderr,
    )


@pytest.mark.parametrize("executable", ["pypy3", "python3.13t", "python3.14t"])
def test_inert_on_other_builds(executable: str, tmp_path: Path) -> None:
    found = shutil.which(executable)
    if found is None:
        pytest.skip(f"no {executable} on PATH")
    run = Python(found, tmp_path).run("-c", "import sys; print('autoinstr' in sys.modules)")
    assert (run.stdout, run.stderr) == ("False\n", "")
