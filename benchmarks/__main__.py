"""Measure every contender with every workload and print one table: `make bench`.

`python -m benchmarks --help` lists the options that measure less.
"""

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
# workload -> (processes of each contender, rounds in each)
FULL = {"leaf": (3, 25), "step": (2, 20), "vllm": (3, 8)}
QUICK = {"leaf": (1, 20)}
STARTS = {"pass": 60, "import torch": 6}
WEIGHED_CALLS = 200_000
WEIGHED_RIVALS = frozenset(
    ("viztracer", "cprofile", "record_function_profiled", "with_stack", "profiled")
)
CHART_START_NS = 10  # where the axis of the picture begins


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one or two minutes: module calls only, one process for each contender",
    )
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="contenders with this text in their name, and what they are compared with",
    )
    parser.add_argument(
        "--work", choices=[*FULL, "startup", "weight"], action="append", help="only this workload"
    )
    parser.add_argument("--json", type=Path, default=CACHE / "bench.json", metavar="FILE")
    parser.add_argument("--svg", type=Path, default=CACHE / "bench.svg", metavar="FILE")
    arguments = parser.parse_args()
    start = time.monotonic()
    sizes = QUICK if arguments.quick else FULL
    workloads = arguments.work or [*sizes, *(() if arguments.quick else ("startup", "weight"))]
    result: dict[str, Any] = {
        "schema": "autoinstr.bench/1",
        "machine": _describe_machine(),
        "works": work.WORKS,
        "cannot": {},
        "rows": {},
        "startup": {},
        "weight": {},
        "processes": {},
        "ranges": {},
    }
    for name, (generations, rounds) in sizes.items():
        if name in workloads:
            _measure(name, generations, rounds, arguments.only, result)
            # Written after each workload, so that a later failure loses nothing.
            _write_json(arguments.json, result)
    if "startup" in workloads:
        result["startup"], unavailable = startup.measure(STARTS)
        result["cannot"].update(unavailable)
    if "weight" in workloads:
        weighed = [
            contender
            for contender in contenders.CPU
            if (contender.rival in WEIGHED_RIVALS or contender.is_recorded)
            and arguments.only in contender.name
        ]
        result["weight"] = processes.weigh(weighed, WEIGHED_CALLS, {})
    result["seconds"] = round(time.monotonic() - start)
    print(_format_header(result), *table.format_lines(result), sep="\n")
    _write_json(arguments.json, result)
    arguments.svg.parent.mkdir(parents=True, exist_ok=True)
    arguments.svg.write_text(_draw_picture(result), encoding="utf-8")
    print(f"written: {os.path.relpath(arguments.json)} and {os.path.relpath(arguments.svg)}")


def _write_json(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _measure(name: str, generations: int, rounds: int, text: str, result: dict[str, Any]) -> None:
    """Measure one workload and add its rows to `result`.

    `text` restricts the contenders to those with it in their name; base and floor always run.
    """
    leaf_rows = result["rows"].get("leaf", {}).values()
    floor = next((row["min"] for row in leaf_rows if row["floors"] == 1), None)
    rows: dict[str, Any] = result["rows"].setdefault(name, {})
    for group, members in GROUPS.items():
        selected = [
            contender
            for contender in members
            if name in contender.works
            and (text in contender.name or contender.kind in (contenders.BASE, contenders.FLOOR))
        ]
        if not selected:
            continue
        with _prepare(name, group) as (environ, problem):
            if problem:
                result["cannot"].update((contender.name, problem) for contender in selected)
                continue
            measured = processes.measure(selected, name, rounds, generations, environ)
        for contender_name, figure in measured.items():
            if figure.problem:
                result["cannot"].setdefault(contender_name, figure.problem)
            if figure.ranges:
                total = result["ranges"].get(contender_name, 0)
                result["ranges"][contender_name] = total + figure.ranges
        result["processes"][name] = {
            "processes": generations,
            "rounds": rounds,
            "calls": max(figure.calls for figure in measured.values()),
        }
        computed = figures.compute_rows(selected, measured, floor)
        rows.update((contender_name, row._asdict()) for contender_name, row in computed.items())


@contextlib.contextmanager
def _prepare(name: str, group: str) -> Any:
    """Yield (environment variables of the processes, the reason why they cannot run or "")."""
    if group.startswith("mstx"):
        sys.path.insert(0, str(REPO))
        from tests.npu import simulated

        try:
            environ = simulated.environment(simulated.built(), "off")
        except simulated.Unavailable as error:
            yield {}, str(error)
        else:
            yield {**environ, **({"BENCH_PROFILED": "1"} if group.endswith(PROFILED) else {})}, ""
    elif name == "vllm":
        with tempfile.TemporaryDirectory() as folder:
            script = REPO / "examples" / "tiny_model.py"
            command = [str(REPO / ".venv/bin/python"), str(script), folder]
            process = subprocess.run(command, capture_output=True, text=True)
            problem = ""
            if process.returncode:
                problem = f"examples/tiny_model.py: {process.stderr.strip().splitlines()[-1]}"
            yield {"BENCH_MODEL": folder, "VLLM_CACHE_ROOT": f"{folder}/cache"}, problem
    else:
        yield {}, ""


def _describe_machine() -> dict[str, Any]:
    with open("/proc/cpuinfo") as info:
        model = next(
            (line.split(":", 1)[1].strip() for line in info if line.startswith("model name")),
            platform.machine(),
        )
    program = "import sys, torch; print(sys.version); print(torch.__version__)"
    python = str(REPO / ".venv-bench/bin/python")
    versions = subprocess.run(
        [python, "-c", program], capture_output=True, text=True
    ).stdout.splitlines()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": " ".join(versions[0].split()) if versions else "",
        "torch": versions[-1] if versions else "",
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def _format_header(result: dict[str, Any]) -> str:
    machine = result["machine"]
    workloads = "; ".join(
        f"{name}: {counts['processes']} processes each, {counts['rounds']} rounds, "
        f"{counts['calls']} module calls a run"
        for name, counts in result["processes"].items()
    )
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"load {machine['load']:.1f} at the start\n"
        f"Python {machine['python']}; torch {machine['torch']}\n"
        f"{workloads}; {result['seconds']} s in all\n"
    )


def _draw_picture(result: dict[str, Any]) -> str:
    bars = []
    for group in GROUPS.values():
        for contender in group:
            row = result["rows"].get("leaf", {}).get(contender.name)
            if row is not None and contender.kind != contenders.BASE:
                label = f"{row['extra']:+,.0f} ns, {row['floors']:+.2f} × floor".replace("-", "−")
                is_ours = contender.kind == contenders.OURS
                bars.append(chart.Bar(contender.name, row["extra"], label, is_ours))
    machine = result["machine"]
    python = machine["python"].split()[0]
    return chart.draw_bars(
        "What a module call costs beyond torch alone (logarithmic; least of all rounds)",
        f"{machine['cpu']}, {machine['cores']} cores; Python {python}, torch {machine['torch']}; "
        f"{machine['date']}. Below {CHART_START_NS} ns there is no bar.",
        bars,
        CHART_START_NS,
    )


if __name__ == "__main__":
    main()
