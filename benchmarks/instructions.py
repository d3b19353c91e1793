"""`make bench-check`: instructions a call, counted by callgrind, compared with those that are
committed. No clock is read, so a loaded machine counts what an idle one counts.

Committed are the counts of the Python builds that were at hand (instructions.json): the same source
built otherwise has other counts. `python -m benchmarks.instructions --write` adds or renews those
of the Python of .venv."""

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

from benchmarks.contenders import GATE, REPO
from benchmarks.counted import CALLS, RUNS

COMMITTED = Path(__file__).with_name("instructions.json")
LIBRARY = REPO / ".cache" / "bench-valgrind.so"
TOLERANCE = 0.05
# What anything does at start-up moves the entries of the method cache, and those that meet cost up
# to 6 % more: the least of these layouts counts.
LAYOUTS = (0, 7, 61)
# mode -> (what is called, AUTOINSTR_* options; None: the agent is not there)
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
optimised = "optimised" if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "") else "not optimised"
print(platform.python_implementation(), platform.python_version(), end=", ")
print(platform.python_compiler(), optimised, f"torch {m.version('torch')}", sep=", ")
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench-check", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--write", action="store_true", help="commit what is counted now")
    arguments = parser.parse_args()
    if why := _missing():
        print(f"bench-check: nothing was counted: {why}")
        return 0
    python = str(REPO / ".venv" / "bin" / "python")
    key = subprocess.run(
        [python, "-c", _KEY], capture_output=True, text=True, check=True
    ).stdout.strip()
    committed: dict[str, dict[str, int]] = json.loads(COMMITTED.read_text())
    with ThreadPoolExecutor(2) as pool:
        cases = [(mode, layout) for mode in MODES for layout in LAYOUTS]
        counted = list(
            zip(cases, pool.map(lambda case: count(python, *MODES[case[0]], case[1]), cases))
        )
    counts = {mode: min(number for (its, _), number in counted if its == mode) for mode in MODES}
    print(key)
    lines, worse = compare(counts, committed.get(key, {}))
    print(*lines, sep="\n")
    if arguments.write:
        COMMITTED.write_text(json.dumps({**committed, key: counts}, indent=1) + "\n")
        print(f"written: {COMMITTED.relative_to(REPO)}")
        return 0
    if key not in committed:
        print(
            "bench-check: nothing was compared: no counts are committed for this Python build (--write adds them); there are those of:"
        )
        print(*(f"  {one}" for one in committed), sep="\n")
    return 1 if worse else 0


def compare(counts: dict[str, int], committed: dict[str, int]) -> tuple[list[str], bool]:
    """Lines of the table, and whether a mode needs more instructions than TOLERANCE allows."""
    lines, worse = [f"{'instructions a call':28}{'now':>10}{'committed':>11}{'ratio':>8}"], False
    for mode, now in counts.items():
        was = committed.get(mode)
        line = f"{mode:28}{now:10,}"
        if was is not None:
            ratio = now / was
            line += f"{was:11,}{ratio:8.3f}"
            if ratio > 1 + TOLERANCE:
                line, worse = line + "  worse", True
            elif ratio < 1 - TOLERANCE:
                line += "  better: `python -m benchmarks.instructions --write` commits it"
        lines.append(line)
    return lines, worse


def count(python: str, what: str, options: dict[str, str] | None, layout: int) -> int:
    """Instructions a call."""
    with tempfile.TemporaryDirectory(prefix="autoinstr-count-") as folder:
        # Nothing of the caller's environment: its size moves the stack, and hashes of text move
        # dictionaries.
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
        tool = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/counts",
        ]
        command = [*tool, python, "-m", "benchmarks.counted", str(LIBRARY), what, str(layout)]
        done = subprocess.run(command, env=environ, cwd=REPO, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(
                f"bench-check: {' '.join(command)} failed with status {done.returncode}\n{done.stderr[-2000:]}"
            )
        first, second = (_total(Path(folder, f"counts.{number}")) for number in (1, 2))
    return round((second - first) / (RUNS * CALLS[what]))


def _total(dump: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    assert found is not None, dump
    return int(found[1])


def _missing() -> str:
    """What is missing, with the library that callgrind is spoken to by built where it is not."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    LIBRARY.parent.mkdir(exist_ok=True)
    source = Path(__file__).with_name("valgrind.c")
    done = subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", "-o", str(LIBRARY), str(source)],
        capture_output=True,
        text=True,
    )
    return f"gcc: {done.stderr.strip().splitlines()[0]}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
