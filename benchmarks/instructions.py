"""Compare the instructions a call, counted by callgrind, with the committed counts.

`make bench-check`. No clock is read, so a loaded machine has the same counts as an idle one.
instructions.json has the counts of the Python builds that were available; another build of the same
source has other counts. `python -m benchmarks.instructions --write` adds or replaces the counts of
the Python of .venv.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.callgrind_program import CALLS, RUNS
from benchmarks.contenders import GATE, REPO

COMMITTED = Path(__file__).with_name("instructions.json")
LIBRARY = REPO / ".cache" / "bench-valgrind.so"
TOLERANCE = 0.05
# Any code that runs at start-up moves the entries of the method cache, and collisions cost up to
# 6 %. The smallest count of these layouts is used.
LAYOUTS = (0, 7, 61)
# mode -> (what is called, AUTOINSTR_* options; None: no agent)
MODES: dict[str, tuple[str, dict[str, str] | None]] = {
    "torch alone": ("module", None),
    "attached, off": ("module", {"WHEN": "manual"}),
    "filtered out": ("module", {"EXCLUDE": "*"}),
    "recorder": ("module", {}),
    "emitter (torch's)": ("module", {"EMITTER": "torch", "WHEN": "always"}),
    "function target, off": ("function", None),
    "function target, recorded": ("function", {}),
}
_KEY = """
import platform, sysconfig, importlib.metadata as m
arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
optimised = "optimised" if "--enable-optimizations" in arguments else "not optimised"
print(platform.python_implementation(), platform.python_version(), end=", ")
print(platform.python_compiler(), optimised, f"torch {m.version('torch')}", sep=", ")
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench-check", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "--write", action="store_true", help="store these counts as the committed ones"
    )
    arguments = parser.parse_args()
    if problem := _prepare_library():
        print(f"bench-check: nothing was counted: {problem}")
        return 0
    python = str(REPO / ".venv" / "bin" / "python")
    key = subprocess.run(
        [python, "-c", _KEY], capture_output=True, text=True, check=True
    ).stdout.strip()
    committed: dict[str, dict[str, int]] = json.loads(COMMITTED.read_text())
    counts = _count_modes(python)
    print(key)
    lines, is_worse = compare_counts(counts, committed.get(key, {}))
    print(*lines, sep="\n")
    if arguments.write:
        COMMITTED.write_text(json.dumps({**committed, key: counts}, indent=1) + "\n")
        print(f"written: {COMMITTED.relative_to(REPO)}")
        return 0
    if key not in committed:
        print(
            "bench-check: nothing was compared: no counts are committed for this Python build "
            "(--write adds them); there are those of:"
        )
        print(*(f"  {build}" for build in committed), sep="\n")
    return 1 if is_worse else 0


def _count_modes(python: str) -> dict[str, int]:
    cases = [(mode, layout) for mode in MODES for layout in LAYOUTS]
    with ThreadPoolExecutor(2) as pool:
        numbers = list(
            pool.map(lambda case: count_instructions(python, *MODES[case[0]], case[1]), cases)
        )
    return {
        mode: min(number for case, number in zip(cases, numbers) if case[0] == mode)
        for mode in MODES
    }


def compare_counts(counts: dict[str, int], committed: dict[str, int]) -> tuple[list[str], bool]:
    """Return the lines of the table, and whether a mode exceeds its count by `TOLERANCE`."""
    lines = [f"{'instructions a call':28}{'now':>10}{'committed':>11}{'ratio':>8}"]
    is_worse = False
    for mode, count in counts.items():
        line = f"{mode:28}{count:10,}"
        if mode in committed:
            ratio = count / committed[mode]
            line += f"{committed[mode]:11,}{ratio:8.3f}"
            if ratio > 1 + TOLERANCE:
                line, is_worse = line + "  worse", True
            elif ratio < 1 - TOLERANCE:
                line += "  better: `python -m benchmarks.instructions --write` commits it"
        lines.append(line)
    return lines, is_worse


def count_instructions(python: str, what: str, options: dict[str, str] | None, layout: int) -> int:
    """Run the program under callgrind and return the instructions a call."""
    with tempfile.TemporaryDirectory(prefix="autoinstr-count-") as folder:
        # A fixed environment: its size moves the stack, and string hashes move dictionary entries.
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": folder,
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        environ.update(AUTOINSTR_OUT=folder, BENCH_ACTIVE="0" if options is None else "1")
        if what == "module" and options is not None:
            environ.update(
                AUTOINSTR="1", AUTOINSTR_MAX_MB="64", AUTOINSTR_TARGETS="none", PYTHONPATH=GATE
            )
            environ.update((f"AUTOINSTR_{name}", value) for name, value in options.items())
        command = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/counts",
            python,
            "-m",
            "benchmarks.callgrind_program",
            str(LIBRARY),
            what,
            str(layout),
        ]
        process = subprocess.run(command, env=environ, cwd=REPO, capture_output=True, text=True)
        if process.returncode:
            raise SystemExit(
                f"bench-check: {' '.join(command)} failed with status {process.returncode}\n"
                f"{process.stderr[-2000:]}"
            )
        first, second = (_read_total(Path(folder, f"counts.{number}")) for number in (1, 2))
    return round((second - first) / (RUNS * CALLS[what]))


def _read_total(dump: Path) -> int:
    match = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    assert match is not None, dump
    return int(match[1])


def _prepare_library() -> str:
    """Build the library that controls callgrind; return what prevents it, or ""."""
    for program in ("valgrind", "gcc"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    LIBRARY.parent.mkdir(exist_ok=True)
    source = Path(__file__).with_name("valgrind.c")
    command = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(LIBRARY), str(source)]
    process = subprocess.run(command, capture_output=True, text=True)
    return f"gcc: {process.stderr.strip().splitlines()[0]}" if process.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
