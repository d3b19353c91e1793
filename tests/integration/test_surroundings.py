"""Sweep of surroundings: the program's files, signals, output, exit status and modules are those of
the native run, whatever the agent does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoinstr.recording.run import open_run
from tests.conftest import GATE, REPO, Python
from tests.programs.surroundings import SITUATIONS

STUB = REPO / "tests" / "stub"
PROGRAM = REPO / "tests" / "programs" / "surroundings.py"
SHADOWS = ("structlog", "rich", "tomllib", "wrapt", "colorama", "calendar", "nvtx")
MODES = {"off": "0", "on": "", "manual": "when=manual", "window": "window=1:3"}
NO_RECORDING = ("small_files", "own_torch")  # situations in which nothing can be recorded


def run_situation(
    python: Python, name: str, mode: str | None, torch: tuple[Path, ...]
) -> tuple[dict[str, object], Path]:
    """Run a situation; return what the program did and the run directory. `mode` None: natively."""
    folder = python.cwd / f"{name}-{mode}"
    folder.mkdir()
    shutil.copy(PROGRAM, folder / "prog.py")
    shadows = [*SHADOWS, "torch"] if name == "own_torch" else SHADOWS
    for shadow in shadows:
        content = f"print('{shadow} of the program is run')\n"
        (folder / f"{shadow}.py").write_text("light = 1\n" if shadow == "torch" else content)
    out = python.cwd / f"out-{name}-{mode}"
    if name == "other_user":
        out.mkdir(mode=0o700)
    settings = ",".join(word for word in (MODES.get(mode or "", ""), f"out={out}") if word)
    (python.cwd / "tmp").mkdir(mode=0o777, exist_ok=True)
    (python.cwd / "tmp").chmod(0o1777)
    run = python.run(
        *("-X", "utf8", folder / "prog.py", name, folder / "data"),
        path=((GATE,) if mode else ()) + (() if name == "own_torch" else torch),
        on=None if mode is None else "0" if mode == "off" else settings,
        env={"TMPDIR": str(python.cwd / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    said = [line for line in run.stderr.splitlines() if not line.startswith("autoinstr: ")]
    files = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "__pycache__"
    }
    result: dict[str, object] = {
        "status": run.returncode,
        "stdout": run.stdout.replace(str(folder), ""),
        "stderr": said,
        "files": files,
    }
    return result, out


def check_situation(python: Python, name: str, torch: tuple[Path, ...]) -> None:
    if name == "other_user":
        if os.geteuid():
            pytest.skip("only root can become another user")
        for folder in (python.cwd, *python.cwd.parents):
            if folder.stat().st_uid == os.getuid() and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o755)
    native, _ = run_situation(python, name, None, torch)
    assert native["status"] == 0, native
    for mode in MODES:
        result, out = run_situation(python, name, mode, torch)
        assert result == native, f"{name}, {mode}"
        if mode == "on" and name not in NO_RECORDING:
            places = [out, *(python.cwd / "tmp").iterdir()]
            runs = [open_run(str(place)) for place in places if list(place.glob("*.airec"))]
            recordings = [recording for run in runs for recording in run.recordings]
            assert recordings, f"{name}: no recording"
            now_ns = time.time_ns()
            for recording in recordings:
                assert not recording.problems
                assert abs(recording.clock_pairs[0][0] - now_ns) < 600e9, "another time of day"
            [words] = [
                len(words) // 3
                for recording in recordings
                for _, words in [next(iter(recording.read_blocks()))]
            ][:1]
            assert words


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_program_does_what_it_does_natively(python: Python, name: str) -> None:
    check_situation(python, name, (STUB,))


@pytest.mark.long
@pytest.mark.parametrize("name", SITUATIONS)
def test_the_program_does_what_it_does_natively_with_torch(python: Python, name: str) -> None:
    pytest.importorskip("torch")
    check_situation(python, name, ())


# -- the gate --------------------------------------------------------------------------------------


def test_odd_entries_of_sys_path(tmp_path: Path) -> None:
    """A .pth of the environment puts there what is no text. The environment's own sitecustomize
    runs, with the agent on and off."""
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    [site] = (tmp_path / "v" / "lib").glob("python3*/site-packages")
    (site / "sitecustomize.py").write_text("print('of the environment')\n")
    environment = Python(tmp_path / "v" / "bin" / "python", tmp_path)
    for entry in ("pathlib.Path('/opt/models')", "b'/opt/models'", "None", "7"):
        (site / "models.pth").write_text(f"import sys, pathlib; sys.path.insert(0, {entry})\n")
        for on in ("0", "1"):
            for path in ((GATE,), (REPO,)):
                run = environment.run("-bb", "-c", "print('program')", path=path, on=on)
                assert (run.stdout, run.stderr) == ("of the environment\nprogram\n", ""), (
                    entry,
                    on,
                )


def test_a_relative_entry_of_pythonpath_serves_children(python: Python) -> None:
    (python.cwd / "checkout").symlink_to(REPO)
    child = "import torch; from torch import nn; nn.Module.forward = lambda self: 1; nn.Module()()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], cwd='/')"
    out = python.cwd / "out"
    for path, count in ((("checkout/sitecustomize", STUB), 1), (("checkout", STUB), 2)):
        run = python.run("-c", program, path=path, on=f"out={out}")
        assert run.returncode == 0, run.stderr
        assert len(list(out.glob("*.airec"))) == count, (path, run.stderr)


def test_a_process_that_executes_itself_again(python: Python) -> None:
    """Its first recording has no end, but nobody killed the process."""
    program = python.cwd / "prog.py"
    program.write_text(
        "import os, sys, torch\nfrom torch import nn\n"
        "nn.Module.forward = lambda self: 1\nnn.Module()()\n"
        "len(sys.argv) > 1 or os.execv(sys.executable, [sys.executable, __file__, 'again'])\n"
    )
    run = python.run(program, path=(GATE, STUB), on="out=out")
    assert run.returncode == 0, run.stderr
    report = subprocess.run(
        [sys.executable, "-m", "autoinstr", "report", python.cwd / "out"],
        cwd=REPO,
        capture_output=True,
        text=True,
    ).stdout
    assert "became another program (exec)" in report and "was killed" not in report


@pytest.mark.parametrize("code", ["ascii", "gbk", "latin-1"])
def test_terminals_without_all_characters(python: Python, code: str) -> None:
    for command in (("run", "--help"), ("ctl", "--help"), ("diff", "--help")):
        run = python.run(
            *("-m", "autoinstr", *command), path=(REPO,), on="0", env={"PYTHONIOENCODING": code}
        )
        assert run.returncode == 0 and "UnicodeEncodeError" not in run.stderr, run.stderr
