"""Measure the cost of `autoinstr.range` and `autoinstr.mark`, off and on.

They are compared with torch's record_function and context managers that do nothing. Each contender
has a fresh process, and rounds are interleaved. Figures are nanoseconds a use, without the loop
around it. "off" is either an import without a session, or a session that is not switched on.
Recorded ranges are read back and counted.

Run: python benchmarks/user_range.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# A slice of at most a millisecond: short enough to fall between other programs' time slices.
USES = 2_000

RANGE, MARK = "with autoinstr.range('part'): pass", "autoinstr.mark('here')"
FUNCTION = "function = lambda: None"
DECORATED = "import autoinstr; function = autoinstr.range('part')(lambda: None)"
# name -> (set-up, measured statement, AUTOINSTR_* options of its process; None: no agent)
CONTENDERS: dict[str, tuple[str, str, dict[str, str] | None]] = {
    "threading.Lock, `with`": (
        "import threading; lock = threading.Lock()",
        "with lock: pass",
        None,
    ),
    "contextlib.nullcontext, made before": (
        "import contextlib; nothing = contextlib.nullcontext()",
        "with nothing: pass",
        None,
    ),
    "contextlib.nullcontext, made each time": (
        "from contextlib import nullcontext",
        "with nullcontext(): pass",
        None,
    ),
    "record_function, no profiler": (
        "from torch.profiler import record_function",
        "with record_function('part'): pass",
        None,
    ),
    "a function alone": (FUNCTION, "function()", None),
    "autoinstr.range, no session": ("import autoinstr", RANGE, None),
    "autoinstr.mark, no session": ("import autoinstr", MARK, None),
    "decorated function, no session": (DECORATED, "function()", None),
    "autoinstr.range, attached and off": ("import torch, autoinstr", RANGE, {"WHEN": "manual"}),
    "autoinstr.range, recorded": ("import torch, autoinstr", RANGE, {"WHEN": "always"}),
    "autoinstr.range with an attribute, recorded": (
        "import torch, autoinstr",
        "with autoinstr.range('part') as running: running.note(files=3)",
        {"WHEN": "always"},
    ),
    "autoinstr.mark, recorded": ("import torch, autoinstr", MARK, {"WHEN": "always"}),
    "decorated function, recorded": (
        "import torch; " + DECORATED,
        "function()",
        {"WHEN": "always"},
    ),
}


def run_contender(name: str) -> None:
    """Run a contender's process.

    It answers each line of stdin with nanoseconds a use, and ends with the number of uses.
    """
    setup, statement, _ = CONTENDERS[name]
    space: dict[str, object] = {"clock": time.perf_counter_ns}
    exec(setup, space)
    loop = (
        "def timed(times):\n"
        "    begin = clock()\n"
        "    for _ in times:\n"
        "        {}\n"
        "    return clock() - begin\n"
    )
    exec(loop.format("pass"), space)
    time_empty_loop = space["timed"]
    exec(loop.format(statement), space)
    time_loop, rounds = space["timed"], range(USES)
    import gc

    gc.disable()
    uses, loop_ns = 0, 1e9
    for _ in sys.stdin:
        samples = [time_empty_loop(rounds) / USES for _ in range(5)]  # type: ignore[operator]
        loop_ns = min(loop_ns, *samples)
        print(time_loop(rounds) / USES - loop_ns, flush=True)  # type: ignore[operator]
        uses += USES
    print(uses, flush=True)


def start_contender(name: str, folder: str) -> subprocess.Popen[str]:
    """Start a contender's process; recordings go to `folder`."""
    options = CONTENDERS[name][2]
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.lstrip("_").startswith("AUTOINSTR")
    }
    path = [str(REPOSITORY)]
    if options is not None:
        path.insert(0, str(REPOSITORY / "sitecustomize"))
        environ.update({"AUTOINSTR": "1", "AUTOINSTR_OUT": folder, "AUTOINSTR_MAX_MB": "2048"})
        environ.update({f"AUTOINSTR_{option}": value for option, value in options.items()})
    environ["PYTHONPATH"] = os.pathsep.join(path)
    command = [sys.executable, __file__, "--contender", name]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )


def count_recorded(folder: str) -> int:
    """Count the ranges and marks of the domain `user` in the only recording of a run."""
    sys.path.insert(0, str(REPOSITORY))
    from autoinstr.recording.run import open_run

    (recording,) = open_run(folder).recordings
    assert not recording.dropped_count, recording.dropped_count
    return sum(
        recording.names[name].domain == "user"
        for _, words in recording.read_blocks()
        for name in words[::3]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contender:
        return run_contender(args.contender)
    figures: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        processes = {
            name: start_contender(name, os.path.join(folder, str(number)))
            for number, name in enumerate(CONTENDERS)
        }
        for _ in range(args.rounds):
            for name, process in processes.items():
                process.stdin.write("\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                figures[name].append(float(process.stdout.readline()))  # type: ignore[union-attr]
        for number, (name, process) in enumerate(processes.items()):
            uses = int(process.communicate()[0])
            if "recorded" in name:
                count = count_recorded(os.path.join(folder, str(number)))
                assert count == uses, f"{name}: {count} of {uses} are in the recording"
    print(f"Python {sys.version.split()[0]}, {args.rounds} rounds of {USES} uses\n")
    print("| contender | min ns | median ns |\n|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {min(values):,.0f} | {statistics.median(values):,.0f} |")
    if args.json:
        summary = {
            name: [min(values), statistics.median(values)] for name, values in figures.items()
        }
        Path(args.json).write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
