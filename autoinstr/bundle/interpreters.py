"""The CPythons of this machine, and the byte code that each of them makes of a bundle."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle.layout import GATE, LIBRARIES, PACKAGE, PYTHONS, dotted

# Where version managers keep interpreters that are not on PATH: pyenv, then uv.
_FOLDERS = (
    ("PYENV_ROOT", "~/.pyenv", "versions"),
    ("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python", ""),
)
_PROBE = "import sys; print(sys.implementation.name, sys.implementation.cache_tag, '%d.%d.%d' % sys.version_info[:3], sys.abiflags or '-')"
_PROBE_S, _COMPILE_S = 20, 300  # seconds before a hanging one is given up


class Interpreter(NamedTuple):
    """A CPython: its program, its version in full, and the tag in the names of its byte code."""

    program: str
    version: str
    tag: str

    @property
    def minor(self) -> tuple[int, int]:
        """(3, 9) of 3.9.18."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)


def find_interpreters() -> list[Interpreter]:
    """One for each minor version that a bundle is for, as far as this machine has one: this one
    first, then PATH, pyenv and uv."""
    found: dict[str, Interpreter] = {}
    for program in _candidates():
        interpreter = _probe(program)
        if interpreter is not None:
            found.setdefault(interpreter.tag, interpreter)
    return sorted(found.values(), key=lambda each: each.minor)


def _candidates() -> list[str]:
    named = [
        shutil.which(name) for name in ("python3", *(f"python{dotted(minor)}" for minor in PYTHONS))
    ]
    kept = [
        path
        for variable, home, below in _FOLDERS
        for path in sorted(
            glob.glob(
                os.path.join(
                    os.path.expanduser(os.environ.get(variable) or home),
                    below,
                    "*",
                    "bin",
                    "python3",
                )
            )
        )
    ]
    return list(dict.fromkeys([sys.executable, *filter(None, named), *kept]))


def _probe(program: str) -> Interpreter | None:
    try:
        said = _run([program, "-I", "-S", "-c", _PROBE], _PROBE_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = said.stdout.split()
    if (
        said.returncode or len(words) != 4 or words[0] != "cpython" or "t" in words[3]
    ):  # pyenv's shims fail for what is not chosen
        return None
    interpreter = Interpreter(program, words[2], words[1])
    return interpreter if interpreter.minor in PYTHONS else None


def compile_for(interpreter: Interpreter, bundle: str) -> None:
    """Write its byte code beside the sources. It is never compared with them again (unchecked
    hash), so copies stay valid whatever becomes of their times, and `--check` is what tells a
    changed one. AutoinstrError where a file does not compile."""
    folders = [
        PACKAGE,
        GATE,
        *dict.fromkeys(
            library.folder for library in LIBRARIES if interpreter.minor in library.pythons
        ),
    ]
    how = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", bundle]
    said = _run(
        [
            interpreter.program,
            "-I",
            "-S",
            "-m",
            "compileall",
            *how,
            *(os.path.join(bundle, folder) for folder in folders),
        ],
        _COMPILE_S,
    )
    if said.returncode:
        raise AutoinstrError(
            f"Python {interpreter.version} ({interpreter.program}) cannot compile the bundle: {said.stdout} {said.stderr}"
        )


def _run(command: list[str], patience: int) -> subprocess.CompletedProcess[str]:
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
        timeout=patience,
        check=False,
    )
