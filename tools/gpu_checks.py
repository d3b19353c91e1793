"""The checks of tools/gpu_acceptance.py: each yields the outcomes of one program on the GPU."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gpu_programs as programs
from acceptance import (
    OPEN,
    NotAvailable,
    Outcome,
    build_outcome,
    run_autoinstr,
    run_command,
    run_program,
)

MIN_MODULE_SHARE = 0.9  # of the device's time in a forward
MAX_TIME_RATIO = 1.2  # between device times with and without a profile
IN_MODULES = ("eager", "backward", "recompute", "compiled", "shared", "graph")
CPU_HAS_NONE = "a CPU has no kernels"


class Machine(NamedTuple):
    """The Python, the folder and the device ("cuda" or "cpu") that the programs run with."""

    python: str
    work: Path
    device: str

    def run(self, name: str, source: str, *, agent: bool = True, **options: str) -> dict[str, Any]:
        """Run a program in its own folder; its recording goes to the folder `run` there."""
        text = programs.build_program(source, self.device)
        if agent:
            options = {"AUTOINSTR_OUT": str(self.work / name / "run"), **options}
        return run_program(self.python, self.work / name, text, agent=agent, **options)

    def report(self, name: str) -> dict[str, Any]:
        """Return the JSON report of a program's recording with its profile."""
        folder = self.work / name
        words = [str(folder / "run"), "--profile", str(folder / "trace.json")]
        return run_autoinstr("report", *words, "--format", "json", "-o", "-")


def compare_program(
    machine: Machine, name: str, source: str
) -> tuple[dict[str, Any], dict[str, Any], list[Outcome]]:
    """Run a program with and without the agent.

    Return its result, its report, and the outcomes that all programs have."""
    native = machine.run(f"{name}-native", source, agent=False)
    result = machine.run(name, source)
    report = machine.report(name)
    outcomes = [
        build_outcome(
            f"{name}: results are those without the agent",
            result["digest"] == native["digest"],
            f"{result['digest'][:12]} and {native['digest'][:12]}",
        )
    ]
    device = report["device"]
    question = f"{name}: the table's kernels and their time are CUPTI's own"
    figures = f"table: {device['kernels']} kernels, {device['device_ns']} ns"
    if machine.device == "cpu" or result["kernels"] is None:
        reason = CPU_HAS_NONE if machine.device == "cpu" else "this torch does not say the kinds"
        outcomes.append(Outcome(question, OPEN, f"{reason}; {figures}"))
    else:
        count, ns = result["kernels"]
        # A trace has thousandths of a microsecond; Kineto's records have nanoseconds.
        holds = count == device["kernels"] and abs(ns - device["device_ns"]) <= count
        outcomes.append(build_outcome(question, holds, f"{figures}; CUPTI: {count}, {ns} ns"))
    sums = [sum(part[key] for part in device["bases"].values()) for key in ("kernels", "device_ns")]
    parts = "; ".join(
        f"{basis} {part['device_ns'] / 1e6:.2f} ms ({part['kernels']})"
        for basis, part in device["bases"].items()
        if part["kernels"]
    )
    holds = sums == [device["kernels"], device["device_ns"]]
    outcomes.append(build_outcome(f"{name}: the bases sum up to all kernels", holds, parts))
    return result, report, outcomes


def compute_module_share(report: dict[str, Any], bases: tuple[str, ...] = IN_MODULES) -> float:
    """Return the share of the device's time that modules have, by these bases."""
    device = report["device"]
    ns = sum(device["bases"].get(basis, {}).get("device_ns", 0) for basis in bases)
    return float(ns / (device["device_ns"] or 1))


def build_share_outcome(name: str, report: dict[str, Any], *bases: str) -> Outcome:
    share = compute_module_share(report, bases or IN_MODULES)
    holds = share >= MIN_MODULE_SHARE
    return build_outcome(f"{name}: modules have the device's time", holds, f"{share:.1%}")


def check_eager(machine: Machine) -> Iterator[Outcome]:
    """Compare calls, GFLOP, parameters and device time of an eager model."""
    result, report, outcomes = compare_program(machine, "eager", programs.EAGER)
    yield from outcomes
    yield build_share_outcome("eager", report)
    rows = [row for row in report["rows"] if row["domain"] == "Module"]
    profiled = {row["path"]: row["calls"] for row in rows}
    missing = set(result["truth"]) - set(profiled)
    short = [path for path, calls in result["truth"].items() if profiled.get(path, 0) < calls]
    yield build_outcome(
        "eager: every module that torch's hooks saw has a row with its calls",
        not missing and not short,
        f"{len(result['truth'])} modules; missing {len(missing)}, too few calls {len(short)}",
    )
    root = next(row for row in rows if not row["path"])
    device = root["device"] or {}
    yield build_outcome(
        "eager: GFLOP is torch.utils.flop_counter's",
        device.get("flops") == result["flops"],
        f"{device.get('flops')} and {result['flops']}",
    )
    yield build_outcome(
        "eager: params are named_parameters'",
        root["params"] == result["params"],
        f"{root['params']} and {result['params']}",
    )
    question = "eager: device time of the table is that of CUDA's events"
    if result["elapsed_ns"] is None:
        yield Outcome(question, OPEN, "a CPU has no events")
    else:
        ns, elapsed_ns = device["total_ns"], result["elapsed_ns"]
        figures = f"{ns / 1e6:.3f} ms; events around as many calls: {elapsed_ns / 1e6:.3f} ms"
        yield build_outcome(question, 0 < ns <= MAX_TIME_RATIO * elapsed_ns, figures)


def check_compiled(machine: Machine) -> Iterator[Outcome]:
    """Check that modules inside compiled code have kernels."""
    _, report, outcomes = compare_program(machine, "compiled", programs.COMPILED)
    yield from outcomes
    yield build_share_outcome("compiled", report)
    rows = [row for row in report["rows"] if (row["basis"] or {}).get("compiled")]
    yield build_outcome(
        "compiled: modules have ranges inside compiled code", bool(rows), f"{len(rows)} rows"
    )


def check_graph(machine: Machine) -> Iterator[Outcome]:
    """Check that the kernels of a replayed graph are found through its capture."""
    if machine.device == "cpu":
        raise NotAvailable("a CPU has no graphs")
    _, report, outcomes = compare_program(machine, "graph", programs.GRAPH)
    yield from outcomes
    yield build_share_outcome("graph", report, "graph")


def check_training(machine: Machine) -> Iterator[Outcome]:
    """Check forward, backward and optimizer of training steps."""
    _, report, outcomes = compare_program(machine, "training", programs.TRAINING)
    yield from outcomes
    bases = report["device"]["bases"]
    names = ("eager", "backward")
    holds = all(bases.get(basis, {}).get("kernels") for basis in names)
    yield build_outcome(
        "training: forward and backward have kernels of modules",
        holds,
        "; ".join(f"{basis} {bases.get(basis)}" for basis in names),
    )
    steps = len(report["training_steps"])
    yield build_outcome("training: the steps are seen", steps >= 3, f"{steps} steps")


def check_torch_emitter(machine: Machine) -> Iterator[Outcome]:
    """Check that torch's profiler gets the ranges of the torch emitter."""
    result = machine.run("torch-emitter", programs.EAGER, AUTOINSTR_EMITTER="torch")
    trace = json.loads((machine.work / "torch-emitter" / "trace.json").read_text())
    names = set(result["classes"])
    count = sum(event.get("name") in names for event in trace["traceEvents"])
    calls = sum(result["truth"].values())
    yield build_outcome(
        "torch emitter: the trace has a range for each module call",
        count == calls,
        f"{count} ranges, {calls} calls",
    )


def check_nvtx(machine: Machine) -> Iterator[Outcome]:
    """Check that Nsight Systems gets the ranges of the nvtx emitter."""
    if machine.device == "cpu":
        raise NotAvailable("nvtx is in CUDA builds of torch only")
    result = machine.run("nvtx", programs.EAGER, AUTOINSTR_EMITTER="nvtx")
    yield Outcome("nvtx: the program runs", "proved", result["digest"][:12])
    nsys = shutil.which("nsys")
    if nsys is None:
        raise NotAvailable("nsys is not on PATH")
    folder = machine.work / "nvtx-nsys"
    wrapper = machine.work / "nsys-python"
    command = f"{nsys} profile -t cuda,nvtx -o profile --export sqlite {machine.python}"
    wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    wrapper.chmod(0o755)
    nested = machine._replace(python=str(wrapper))
    result = nested.run("nvtx-nsys", programs.EAGER, AUTOINSTR_EMITTER="nvtx")
    [(count,)] = sqlite3.connect(folder / "profile.sqlite").execute(
        "SELECT COUNT(*) FROM NVTX_EVENTS WHERE end IS NOT NULL"
    )
    yield build_outcome(
        "nvtx: Nsight Systems has a range for each module call",
        count >= sum(result["truth"].values()),
        f"{count} ranges; {sum(result['truth'].values())} calls in the profile",
    )


def measure_cost(machine: Machine) -> Iterator[Outcome]:
    """Measure the cost of a range on the host; this cannot fail."""
    on = machine.run("cost", programs.COST)["call_ns"]
    off = machine.run("cost-native", programs.COST, agent=False)["call_ns"]
    figures = f"a call takes {on:.0f} ns, without the agent {off:.0f} ns"
    yield Outcome("what a recorded module call costs on the host", "measured", figures)


def describe_machine(python: str, device: str) -> list[str]:
    """Return lines about the machine. Raise NotAvailable if it has no such device."""
    program = (
        "import json, platform, torch\n"
        "import structlog, wrapt\n"
        "cuda = torch.cuda.is_available()\n"
        "name = torch.cuda.get_device_name(0) if cuda else platform.machine()\n"
        "print(json.dumps([cuda, name, torch.__version__, platform.python_version(), "
        "platform.platform()]))"
    )
    process = run_command([python, "-c", program], {**os.environ, "AUTOINSTR": "0"})
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["torch cannot be imported"]
        raise NotAvailable(lines[-1])
    has_cuda, name, torch, version, platform_name = json.loads(process.stdout.splitlines()[-1])
    if device != "cpu" and not has_cuda:
        raise NotAvailable(f"torch {torch} finds no CUDA or ROCm device")
    return [f"- {name}, {platform_name}", f"- Python {version}, torch {torch}"]


CHECKS: dict[str, Callable[[Machine], Iterator[Outcome]]] = {
    "eager": check_eager,
    "compiled": check_compiled,
    "graph": check_graph,
    "training": check_training,
    "torch": check_torch_emitter,
    "nvtx": check_nvtx,
    "cost": measure_cost,
}
