"""Builds the simulated CANN for the torch_npu wheel of the interpreter that runs this, and prints
the folder it is in (ASCEND_HOME_PATH).

    <python that has torch_npu> tests/npu/cann/build.py [CACHE]

Seconds the first time; nothing when neither a source nor the wheel has changed. Needs gcc, nm and
readelf; imports neither torch nor torch_npu.

The C sources hold what torch_npu really calls. Everything else that the wheel's libraries link is
generated here from the wheel itself: each such function says on stderr that it is not simulated and
returns 1: a run that comes to one is not mistaken for one that works."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[2] / ".cache" / "cannsim"
LIBRARIES = {  # what has functions
    "libascendcl.so": ["runtime.c", "profiling.c", "tasks.c", "graphs.c"],
    "libms_tools_ext.so": ["mstx.c"],
    "libhccl.so": ["hccl.c"],
}
ARITHMETIC = (
    "load.py",
    "graphs.py",
    "kernels.py",
    "operators.py",
    "triton_kernels.py",
)  # run by aclInit
OPENED = (
    "libmsprofiler.so",
    "libascend_hal.so",
)  # opened by name; empty, because dlsym finds libascendcl's functions through them
PYACL = "python/site-packages/acl"  # CANN's set_env.sh puts python/site-packages on PYTHONPATH
MSPROF = "tools/profiler/profiler_tool/analysis/msprof"
FOLDERS = (
    "opp",
    "runtime",
    "compiler",
    "tools/profiler/bin",
    MSPROF,
)  # torch_npu looks whether they are there


class BuildError(Exception):
    """The simulated CANN could not be built; the text says why (no compiler, no wheel)."""


def _output(*command: str | os.PathLike[str]) -> str:
    try:
        done = subprocess.run(
            [*map(str, command)], capture_output=True, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed") from None
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{name} is not installed for {sys.executable}")
    return Path(spec.submodule_search_locations[0])


def _symbols(library: Path, defined: bool) -> set[str]:
    """Return the dynamic symbols that `library` defines, or those that it needs (without weak
    ones).
    """
    lines = [
        line.split()
        for line in _output(
            "nm", "-D", "--defined-only" if defined else "--undefined-only", library
        ).splitlines()
    ]
    return {
        line[-1].partition("@")[0]
        for line in lines
        if len(line) > 1 and (defined or line[-2] not in "wv")
    }


def _needed(library: Path) -> set[str]:
    return set(re.findall(r"NEEDED.*\[(.+?)\]", _output("readelf", "-d", library)))


def _missing(wheel: Path, torch: Path) -> tuple[set[str], set[str]]:
    """Return the (libraries, functions) that the wheel links and nothing on the system provides."""
    ours = sorted(wheel.rglob("*.so"))
    there = [*ours, *(torch / "lib").glob("*.so*")]
    names = {path.name for path in there}
    libraries = set().union(*map(_needed, ours)) - names
    system = {name: Path(_output("gcc", f"-print-file-name={name}").strip()) for name in libraries}
    there += [path for path in system.values() if path.is_absolute()]
    functions = set().union(*(_symbols(path, False) for path in ours)) - set().union(
        *(_symbols(path, True) for path in there)
    )
    return {name for name, path in system.items() if not path.is_absolute()}, {
        name for name in functions if not re.match("_?Py", name)
    }


def _compile(to: Path, *arguments: str | os.PathLike[str]) -> None:
    # -w: arguments that a stub does not look at are the point of it
    _output(
        "gcc",
        "-O2",
        "-w",
        "-fPIC",
        "-shared",
        f"-Wl,-soname,{to.name}",
        "-o",
        to,
        *arguments,
        "-ldl",
        "-lpthread",
    )


def _fill(home: Path, wheel: Path, torch: Path) -> None:
    lib = home / "lib64"
    for folder in ("lib64", *FOLDERS):
        (home / folder).mkdir(parents=True)
    for name, sources in LIBRARIES.items():
        _compile(lib / name, *(HERE / source for source in sources))
    libraries, functions = _missing(wheel, torch)
    rest = sorted(functions - set().union(*(_symbols(lib / name, True) for name in LIBRARIES)))
    generated = home / "unsimulated.c"
    generated.write_text(
        (
            '#include <stdio.h>\n#define NO(name) long name(void) { fputs("cannsim: " #name " '
            'is not simulated\\n", stderr); return 1; }\n'
        )
        + "".join(f"NO({name})\n" for name in rest)
    )
    _compile(lib / "libcannsim_rest.so", generated)
    for name in sorted(libraries.union(OPENED) - LIBRARIES.keys()):
        _compile(
            lib / name,
            "-x",
            "c",
            os.devnull,
            "-Wl,--no-as-needed",
            f"-L{lib}",
            "-lascendcl",
            "-lcannsim_rest",
        )
    for name in ARITHMETIC:
        shutil.copy(HERE / name, home)
    (home / PYACL).mkdir(parents=True)
    (home / PYACL / "__init__.py").touch()
    shutil.copy(HERE / "pyacl.py", home / PYACL / "rt.py")
    tool = home / "tools/profiler/bin/msprof"
    tool.write_text(f"#!{sys.executable}\n" + (HERE / "msprof.py").read_text())
    tool.chmod(0o755)
    (home / MSPROF / "msprof.py").touch()


def build(cache: Path = CACHE) -> Path:
    """Return the folder of the simulated CANN below `cache`; build it if it does not exist.

    Raise BuildError if that fails.
    """
    wheel, torch = _package("torch_npu"), _package("torch")
    version = next(iter(wheel.parent.glob("torch_npu-*.dist-info")), wheel).name
    parts = [
        version.encode(),
        str(wheel).encode(),
        sys.executable.encode(),
        sysconfig.get_platform().encode(),
    ]
    parts += [path.read_bytes() for path in sorted(HERE.glob("*.[chp]*")) if path.is_file()]
    home = cache / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = Path(folder) / "cann"
            _fill(made, wheel, torch)
            try:
                made.rename(home)
            except OSError:  # another process was faster
                if not home.is_dir():
                    raise
    return home


if __name__ == "__main__":
    try:
        print(build(*map(Path, sys.argv[1:2])))
    except BuildError as problem:
        sys.exit(f"simulated CANN: {problem}")
