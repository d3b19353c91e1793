"""`make bench`: every contender, every work, one table. `python -m benchmarks --help` has the ways
to run less."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import chart, contenders, figures, processes, startup, table, work
from benchmarks.contenders import GROUPS, PROFILED, REPO

CACHE = REPO / ".cache"
# processes of each contender, rounds in each
FULL = {"leaf": (3, 25), "step": (2, 20), "vllm": (3, 8)}
QUICK = {"leaf": (1, 20)}
STARTS = {"pass": 60, "import torch": 6}
WEIGHED_CALLS = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a minute or two: the module call alone, one process for each contender",
    )
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="contenders with this in their name, and what they are compared with",
    )
    parser.add_argument(
        "--work", choices=[*FULL, "startup", "weight"], action="append", help="only this"
    )
    parser.add_argument("--json", type=Path, default=CACHE / "bench.json", metavar="FILE")
    parser.add_argument("--svg", type=Path, default=CACHE / "bench.svg", metavar="FILE")
    arguments = parser.parse_args()
    begun = time.monotonic()
    wanted = arguments.work or [
        *(QUICK if arguments.quick else FULL),
        *(() if arguments.quick else ("startup", "weight")),
    ]
    result: dict[str, Any] = {
        "schema": "autoinstr.bench/1",
        "machine": _machine(),
        "works": work.WORKS,
        "cannot": {},
        "rows": {},
    }
    result.update(startup={}, weight={}, processes={}, ranges={})
    for name, (generations, rounds) in (QUICK if arguments.quick else FULL).items():
        if name in wanted:
            _measure(name, generations, rounds, arguments.only, result)
            _write(arguments.json, result)  # what is measured is kept, whatever comes after
    if "startup" in wanted:
        result["startup"], missing = startup.measure(STARTS)
        result["cannot"].update(missing)
    if "weight" in wanted:
        recording = [one for one in contenders.CPU if one.rival in WEIGHED or one.recorded]
        result["weight"] = processes.weigh(
            [one for one in recording if arguments.only in one.name], WEIGHED_CALLS, {}
        )
    result["seconds"] = round(time.monotonic() - begun)
    print(_header(result), *table.lines(result), sep="\n")
    _write(arguments.json, result)
    arguments.svg.parent.mkdir(parents=True, exist_ok=True)
    arguments.svg.write_text(_picture(result), encoding="utf-8")
    print(f"written: {os.path.relpath(arguments.json)} and {os.path.relpath(arguments.svg)}")


def _write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


WEIGHED = frozenset(("viztracer", "cprofile", "record_function_profiled", "with_stack", "profiled"))


def _measure(name: str, generations: int, rounds: int, only: str, result: dict[str, Any]) -> None:
    floor = next(
        (row["min"] for row in result["rows"].get("leaf", {}).values() if row["floors"] == 1), None
    )
    found: dict[str, Any] = result["rows"].setdefault(name, {})
    for group, members in GROUPS.items():
        rows = [
            one
            for one in members
            if name in one.works
            and (only in one.name or one.kind in (contenders.BASE, contenders.FLOOR))
        ]
        if not rows:
            continue
        with _prepared(name, group) as (more, cannot):
            if cannot:
                result["cannot"].update((one.name, cannot) for one in rows)
                continue
            measured = processes.measure(rows, name, rounds, generations, more)
        for one, figure in measured.items():
            if figure.cannot:
                result["cannot"].setdefault(one, figure.cannot)
            if figure.ranges:
                result["ranges"][one] = result["ranges"].get(one, 0) + figure.ranges
        result["processes"][name] = {
            "processes": generations,
            "rounds": rounds,
            "calls": max(one.calls for one in measured.values()),
        }
        found.update(
            (one, row._asdict()) for one, row in figures.rows(rows, measured, floor).items()
        )


@contextlib.contextmanager
def _prepared(name: str, group: str) -> Any:
    """(what the processes' environment has beside, why they cannot run)."""
    if group.startswith("mstx"):
        sys.path.insert(0, str(REPO))
        from tests.npu import simulated

        try:
            more = simulated.environment(simulated.built(), "off")
        except simulated.Unavailable as missing:
            yield {}, str(missing)
        else:
            yield {**more, **({"BENCH_PROFILED": "1"} if group.endswith(PROFILED) else {})}, ""
    elif name == "vllm":
        with tempfile.TemporaryDirectory() as folder:
            command = [
                str(REPO / ".venv/bin/python"),
                str(REPO / "examples" / "tiny_model.py"),
                folder,
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            why = (
                f"examples/tiny_model.py: {done.stderr.strip().splitlines()[-1]}"
                if done.returncode
                else ""
            )
            yield {"BENCH_MODEL": folder, "VLLM_CACHE_ROOT": f"{folder}/cache"}, why
    else:
        yield {}, ""


def _machine() -> dict[str, Any]:
    with open("/proc/cpuinfo") as info:
        model = next(
            (line.split(":", 1)[1].strip() for line in info if line.startswith("model name")),
            platform.machine(),
        )
    versions = subprocess.run(
        [str(REPO / ".venv-bench/bin/python"), "-c", "import sys, torch; print(sys.version); print(torch.__version__)"],
        capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": " ".join(versions[0].split()) if versions else "",
        "torch": versions[-1] if versions else "",
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def _header(result: dict[str, Any]) -> str:
    m = result["machine"]
    how = "; ".join(
        f"{name}: {one['processes']} processes each, {one['rounds']} rounds, {one['calls']} module calls a run"
        for name, one in result["processes"].items()
    )
    return (
        f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, load {m['load']:.1f} when it began\n"
        f"Python {m['python']}; torch {m['torch']}\n"
        f"{how}; {result['seconds']} s in all\n"
    )


def _picture(result: dict[str, Any]) -> str:
    rows = []
    for group in GROUPS.values():
        for one in group:
            row = result["rows"].get("leaf", {}).get(one.name)
            if row is not None and one.kind != contenders.BASE:
                words = f"{row['extra']:+,.0f} ns, {row['floors']:+.2f} × floor".replace("-", "−")
                rows.append((one.name, row["extra"], words, one.kind == contenders.OURS))
    m = result["machine"]
    return chart.bars(
        "What a module call costs beyond torch alone (logarithmic; least of all rounds)",
        f"{m['cpu']}, {m['cores']} cores; Python {m['python'].split()[0]}, torch {m['torch']}; {m['date']}. What is below 10 ns is no bar.",
        rows,
        10,
    )


if __name__ == "__main__":
    main()
