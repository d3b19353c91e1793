"""Test that the next sitecustomize runs as if ours did not exist. Each program runs natively and
with the gate, and stdout, stderr and exit status are compared."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python

PROGRAM = """
import os, sys
print("program", sys.argv, "sitecustomize" in sys.modules, [p for p in sys.path if "next" in p])
module = sys.modules.get("sitecustomize")
print(*(getattr(module, name, None) for name in ("__file__", "value", "__name__")))
try:
    import sitecustomize
    print("importable", sitecustomize.__file__, sitecustomize is module)
    if sys.version_info[0] > 2:
        import importlib
        again = importlib.reload(sitecustomize)
        print("reloaded", again is module, again.__spec__.origin)
except ImportError as error:
    print(type(error).__name__, error, getattr(error, "name", None))
except BaseException as error:
    print("raised again", type(error).__name__, error)
sys.stderr.write("to stderr\\n")
raise SystemExit(7)
"""

NEXT = {
    "none": None,
    "normal": (
        "import sys\nvalue = 5\nprint('next runs', __name__, __file__)\n"
        "sys.path.insert(0, '/inserted/next')\n"
    ),
    "value-error": "raise ValueError('broken')\n",
    "nested-value-error": (
        "def deep():\n    raise ValueError('broken')\ndef work():\n    deep()\nwork()\n"
    ),
    "missing-import": "import a_module_that_is_not_there\n",
    "import-error-naming-sitecustomize": "raise ImportError('no', name='sitecustomize')\n",
    "syntax-error": "def (:\n",
    "system-exit": "raise SystemExit(3)\n",
    "system-exit-text": "import sys\nsys.exit('bye')\n",
    "system-exit-in-a-function": "import sys\ndef leave():\n    sys.exit(0)\nleave()\n",
    "keyboard-interrupt": "raise KeyboardInterrupt\n",
    "generator-exit": "raise GeneratorExit\n",
    "chained-error": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n"
        "    raise KeyboardInterrupt('x') from error\n"
    ),
    "os-exit": "import os\nos._exit(9)\n",
    "replaces-itself": (
        "import sys, types\nvalue = types.ModuleType('other')\nvalue.value = 6\n"
        "sys.modules['sitecustomize'] = value\n"
    ),
    "removes-itself": "import sys\ndel sys.modules['sitecustomize']\n",
    "warns": "import warnings\nwarnings.warn('careful')\n",
}


def compare(
    python: Python,
    next_folder: Path | None,
    *flags: str,
    on: str | None = "1",
    gate: Path = GATE,
    **more: object,
) -> None:
    path = (next_folder,) if next_folder else ()
    native = python.run(*flags, "-c", PROGRAM, "a", path=path, on=on, **more)  # type: ignore[arg-type]
    ours = python.run(*flags, "-c", PROGRAM, "a", path=(gate, *path), on=on, **more)  # type: ignore[arg-type]
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        native.returncode,
        native.stdout,
        native.stderr,
    )


def write_next(folder: Path, source: str | None, name: str = "sitecustomize.py") -> Path:
    folder.mkdir(exist_ok=True)
    if source is not None:
        (folder / name).write_text(source)
    return folder


@pytest.mark.parametrize("on", ["1", None], ids=["on", "off"])
@pytest.mark.parametrize("case", NEXT)
def test_the_next_sitecustomize_runs_as_natively(
    bare: Python, tmp_path: Path, case: str, on: str | None
) -> None:
    compare(bare, write_next(tmp_path / "next", NEXT[case]), on=on)


@pytest.mark.parametrize("case", ["value-error", "missing-import", "system-exit", "none"])
def test_the_traceback_in_verbose_mode_has_no_frame_of_ours(
    bare: Python, tmp_path: Path, case: str
) -> None:
    folder = write_next(tmp_path / "next", NEXT[case])
    ours = bare.run("-v", "-c", PROGRAM, "a", path=(GATE, folder))
    native = bare.run("-v", "-c", PROGRAM, "a", path=(folder,))

    def traceback(text: str) -> list[str]:
        lines = text.splitlines()
        start = next(
            (i for i, line in enumerate(lines) if line.startswith("Traceback")), len(lines)
        )
        return [line for line in lines[start:] if not line.startswith(("#", "import "))][:12]

    assert traceback(ours.stderr) == traceback(native.stderr)
    assert bool(traceback(native.stderr)) == (case != "none")


@pytest.mark.parametrize(
    "case", ["normal", "value-error", "system-exit", "keyboard-interrupt", "missing-import"]
)
def test_usercustomize_runs_as_natively(bare: Python, tmp_path: Path, case: str) -> None:
    """A venv has no user site: the base interpreter is asked, so that usercustomize really runs."""
    base = Python(os.path.realpath(sys.executable), bare.cwd)
    source = (NEXT[case] or "").replace("next runs", "usercustomize runs")
    folder = write_next(tmp_path / "next", source, "usercustomize.py")
    probe = base.run("-c", "import site; print(site.ENABLE_USER_SITE)", path=())
    assert probe.stdout.strip() == "True", (
        "this interpreter has no user site, so the test would show nothing"
    )
    compare(base, folder)
    write_next(folder, NEXT["value-error"])
    compare(base, folder)


@pytest.mark.parametrize("case", ["none", "normal", "value-error", "system-exit"])
@pytest.mark.parametrize(
    "flags",
    [("-s",), ("-S",), ("-E",), ("-I",), ("-W", "error"), ("-O",), ("-B",), ("-X", "dev")],
    ids=" ".join,
)
def test_under_interpreter_flags(
    bare: Python, tmp_path: Path, case: str, flags: tuple[str, ...]
) -> None:
    compare(bare, write_next(tmp_path / "next", NEXT[case]), *flags)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="-P came with Python 3.11")
def test_under_safe_path(bare: Python, tmp_path: Path) -> None:
    compare(bare, write_next(tmp_path / "next", NEXT["normal"]), "-P")
    assert "autoinstr" in bare.run("-P", "-c", "import sys; print(*sys.modules)").stdout.split()


def test_a_sitecustomize_in_a_zip_runs(bare: Python, tmp_path: Path) -> None:
    import zipfile

    archive = tmp_path / "next.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sitecustomize.py", "value = 5\nprint('from the zip', __name__)\n")
    compare(bare, archive)


def test_the_repository_root_on_the_path_works_as_the_folder_does(
    bare: Python, tmp_path: Path
) -> None:
    """Without an __init__.py Python would take the folder for a namespace package, inert, and the
    user's file would never run."""
    folder = write_next(tmp_path / "next", NEXT["normal"])
    program = (
        "import sys; print('autoinstr.instrument.importhook' in sys.modules, "
        "sys.modules['sitecustomize'].__file__, sys.path)"
    )
    plain = bare.run("-c", program, path=(GATE, folder))
    trap = bare.run("-c", program, path=(REPO, folder))
    assert plain.stdout.startswith("next runs")
    assert trap.stdout == plain.stdout.replace(
        "'/inserted/next', ", f"'/inserted/next', '{REPO}', "
    )
    assert trap.stderr == plain.stderr == ""


@pytest.mark.parametrize("case", NEXT)
def test_the_repository_root_chains_as_natively(bare: Python, tmp_path: Path, case: str) -> None:
    if case == "none":
        ours = bare.run("-c", "import sys; print('sitecustomize' in sys.modules)", path=(REPO,))
        assert (ours.stdout, ours.stderr) == ("False\n", "")
    else:
        program = PROGRAM.split("try:")[0] + "raise SystemExit(7)\n"
        folder = write_next(tmp_path / "next", NEXT[case])
        native = bare.run("-c", program, path=(folder,))
        ours = bare.run("-c", program, path=(REPO, folder))
        assert (ours.returncode, ours.stdout, ours.stderr) == (
            native.returncode,
            native.stdout,
            native.stderr,
        )


def test_twice_and_by_another_name_on_the_path(bare: Python, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(GATE)
    folder = write_next(tmp_path / "next", NEXT["normal"])
    ours = bare.run("-c", PROGRAM, "a", path=(GATE, f"{GATE}/", link, REPO, folder))
    native = bare.run("-c", PROGRAM, "a", path=(folder,))
    assert (ours.returncode, ours.stdout.splitlines()[:3], ours.stderr) == (
        native.returncode,
        native.stdout.splitlines()[:3],
        native.stderr,
    )


def test_behind_another_sitecustomize_that_imports_the_next(bare: Python, tmp_path: Path) -> None:
    """ddtrace's way: it puts itself back if the import fails, so with nothing behind us the import
    must fail."""
    other = write_next(
        tmp_path / "other",
        "import os, sys\nhere = os.path.dirname(__file__)\nsys.path.remove(here)\n"
        "me = sys.modules.pop('sitecustomize')\n"
        "try:\n    import sitecustomize\nexcept ImportError:\n"
        "    sys.modules['sitecustomize'] = me\n    print('nothing behind')\n",
    )
    program = "import sys; print('autoinstr' in sys.modules, sys.modules['sitecustomize'].__file__)"
    ours = bare.run("-c", program, path=(other, GATE))
    assert (ours.returncode, ours.stderr) == (0, "")
    assert ours.stdout.splitlines()[-1].startswith("True ")


def test_behind_another_that_loads_the_next_in_its_own_name(bare: Python, tmp_path: Path) -> None:
    """New Relic's way, which an exception of ours would stop."""
    other = write_next(
        tmp_path / "other",
        "import os, sys\nfrom importlib.machinery import PathFinder\n"
        "sys.path.remove(os.path.dirname(__file__))\n"
        "spec = PathFinder.find_spec('sitecustomize', sys.path)\n"
        "if spec is not None:\n    spec.loader.exec_module(sys.modules['sitecustomize'])\n"
        "print('started')\n",
    )
    ours = bare.run("-c", "import sys; print('autoinstr' in sys.modules)", path=(other, GATE))
    assert (ours.returncode, ours.stdout, ours.stderr) == (0, "started\nTrue\n", "")


def test_stderr_closed_and_stdout_closed(bare: Python, tmp_path: Path) -> None:
    folder = write_next(tmp_path / "next", "open('ran', 'w').close()\n")
    for redirect in ("2>&-", ">&-", "<&- >&- 2>&-"):
        (bare.cwd / "ran").unlink(missing_ok=True)
        shell = Python("/bin/sh", bare.cwd)
        script = (
            f'"{bare.executable}" -c "import sys; '
            f"sys.exit('autoinstr' in sys.modules and 5)\" {redirect}"
        )
        assert shell.run("-c", script, path=(GATE, folder)).returncode == 5
        assert (bare.cwd / "ran").exists()


def test_a_damaged_package_costs_one_line(bare: Python, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "sitecustomize"
    copy.mkdir(parents=True)
    for file in GATE.glob("*.py"):
        (copy / file.name).write_text(file.read_text())
    run = bare.run("-c", "print('program')", path=(copy,))
    assert (run.returncode, run.stdout) == (0, "program\n")
    assert (
        run.stderr.startswith("autoinstr: off in process ")
        and run.stderr.count("\n") == 1
        and "no package autoinstr" in run.stderr
    )
    (copy / "_autoinstr_gate.py").unlink()
    assert bare.run("-c", "print('program')", path=(copy,)).stdout == "program\n"


def test_a_read_only_folder(bare: Python, tmp_path: Path) -> None:
    if os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists():
        pytest.skip("root writes to read-only folders, and setpriv to become nobody is missing")
    home = tmp_path / "image"
    for folder in (GATE, REPO / "autoinstr"):
        for file in folder.rglob("*.py"):
            target = home / file.relative_to(REPO)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text())
            target.chmod(0o444)
    for folder in [home, *(p for p in home.rglob("*") if p.is_dir())]:
        folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    try:
        program = (
            "import os, sys; print(os.geteuid(), 'autoinstr.instrument.importhook' in sys.modules)"
        )
        as_nobody = (
            ["--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
        )
        interpreter = os.path.realpath(sys.executable)
        if as_nobody:
            reachable = (
                Python("/usr/bin/setpriv", Path("/"))
                .run(*as_nobody, interpreter, "-c", "0", path=(), on=None)
                .returncode
                == 0
            )
            interpreter = interpreter if reachable else "/usr/bin/python3"
            run = Python("/usr/bin/setpriv", Path("/")).run(
                *as_nobody, interpreter, "-c", program, path=(home / "sitecustomize",)
            )
        else:
            run = Python(interpreter, Path("/")).run("-c", program, path=(home / "sitecustomize",))
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.split()[1] == "True"
        assert not list(home.rglob("*.pyc"))
    finally:
        for folder in [home, *(p for p in home.rglob("*") if p.is_dir())]:
            folder.chmod(0o755)
