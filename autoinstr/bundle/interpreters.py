"""Find the CPython interpreters of this machine, and compile a bundle with each of them."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle.layout import GATE, LIBRARIES, PACKAGE, PYTHONS, format_version

# Folders of interpreters that are not on PATH, of pyenv and uv: (variable, default, subfolder).
_FOLDERS = (
    ("PYENV_ROOT", "~/.pyenv", "versions"),
    ("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python", ""),
)
_PROBE = (
    "import sys; print(sys.implementation.name, sys.implementation.cache_tag,"
    " '%d.%d.%d' % sys.version_info[:3], sys.abiflags or '-')"
)
_PROBE_TIMEOUT_S, _COMPILE_TIMEOUT_S = 20, 300


class Interpreter(NamedTuple):
    """A CPython: its program, its full version, and the tag in the names of its .pyc files."""

    program: str
    version: str
    tag: str

    @property
    def minor(self) -> tuple[int, int]:
        """Return (3, 9) for version 3.9.18."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)


def find_interpreters() -> list[Interpreter]:
    """Return one interpreter for each minor version that a bundle is for, if this machine has it.

    This interpreter comes first, then those on PATH, of pyenv and of uv."""
    by_tag: dict[str, Interpreter] = {}
    for program in _list_candidates():
        interpreter = _probe(program)
        if interpreter is not None:
            by_tag.setdefault(interpreter.tag, interpreter)
    return sorted(by_tag.values(), key=lambda interpreter: interpreter.minor)


def _list_candidates() -> list[str]:
    names = ("python3", *(f"python{format_version(minor)}" for minor in PYTHONS))
    programs = [sys.executable, *filter(None, map(shutil.which, names))]
    for variable, default, subfolder in _FOLDERS:
        home = os.path.expanduser(os.environ.get(variable) or default)
        programs += sorted(glob.glob(os.path.join(home, subfolder, "*", "bin", "python3")))
    return list(dict.fromkeys(programs))


def _probe(program: str) -> Interpreter | None:
    try:
        probe = _run([program, "-I", "-S", "-c", _PROBE], _PROBE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = probe.stdout.split()
    # A shim of pyenv fails if its version is not selected. "t" is the free-threaded build.
    if probe.returncode or len(words) != 4 or words[0] != "cpython" or "t" in words[3]:
        return None
    interpreter = Interpreter(program, words[2], words[1])
    return interpreter if interpreter.minor in PYTHONS else None


def compile_for(interpreter: Interpreter, bundle: str) -> None:
    """Write the byte code of an interpreter beside the sources of a bundle.

    Python never compares it with the sources again (unchecked hash), so copies stay valid whatever
    their file times are. `--check` finds a changed file. AutoinstrError if a file does not
    compile."""
    folders = [
        PACKAGE,
        GATE,
        *dict.fromkeys(
            library.folder for library in LIBRARIES if interpreter.minor in library.pythons
        ),
    ]
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", bundle]
    compilation = _run(
        [
            interpreter.program,
            "-I",
            "-S",
            "-m",
            "compileall",
            *options,
            *(os.path.join(bundle, folder) for folder in folders),
        ],
        _COMPILE_TIMEOUT_S,
    )
    if compilation.returncode:
        raise AutoinstrError(
            f"Python {interpreter.version} ({interpreter.program}) cannot compile the bundle: "
            f"{compilation.stdout} {compilation.stderr}"
        )


def _run(command: list[str], timeout_s: int) -> subprocess.CompletedProcess[str]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "AUTOINSTR"))
    }
    return subprocess.run(
        command,
        env=environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout_s,
        check=False,
    )
