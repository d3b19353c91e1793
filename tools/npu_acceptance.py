"""What the simulation in tests/npu cannot prove, tried on a real NPU in about ten minutes; prints a
report to send back (docs/ascend.md).

    make npu-acceptance PYTHON=python3        # a Python with torch_npu; CANN's set_env.sh sourced;
    nothing else is installed or changed
    python3 tools/npu_acceptance.py --model Qwen/Qwen2.5-0.5B-Instruct --msprof-analyze
    /opt/tools/bin

Exit status: 0 if nothing that could be tried failed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tools")]

import npu_programs as programs  # noqa: E402
from npu_machine import Hurt, Machine, NotHere, about  # noqa: E402

from autoinstr.device.ascend.database import connect, read_facts, read_ranges  # noqa: E402

PROVED, FAILED, OPEN = "proved", "FAILED", "not tried"
AGREES = "agrees, simulated"
# Kernels of the operators inside a range of Net on the host, and whether they ran inside its range
# on the device.
KERNELS = """SELECT COUNT(*), SUM(t.startNs >= d.startNs AND t.endNs <= d.endNs)
    FROM MSTX_EVENTS h JOIN TASK d ON d.connectionId = h.connectionId
    JOIN PYTORCH_API a ON CAST(a.startNs AS INTEGER) BETWEEN h.startNs AND h.endNs JOIN CONNECTION_IDS c ON c.id = a.connectionId
    JOIN TASK t ON t.connectionId = c.connectionId JOIN COMPUTE_TASK_INFO i ON i.globalTaskId = t.globalTaskId
    WHERE h.domainId IN (SELECT id FROM STRING_IDS WHERE value = 'ModuleDevice')
    AND h.message IN (SELECT id FROM STRING_IDS WHERE value = 'Net')"""


class Outcome(NamedTuple):
    """One question: what came of it, and the figures."""

    question: str
    state: str
    words: str


def judged(question: str, holds: bool, words: str) -> Outcome:
    return Outcome(question, PROVED if holds else FAILED, words)


def modules(machine: Machine) -> Iterator[Outcome]:
    """Ranges of the database against torch's own hooks, links at two levels, device times against
    the device's own clock."""
    result = machine.run("modules", programs.program(programs.MODULES))
    for level in ("Level0", "Level1"):
        told = machine.analyse(f"modules/{level}")
        connection = connect(machine.database(f"modules/{level}"))
        facts, ranges = read_facts(connection), read_ranges(connection, lambda _: None)
        connection.close()
        calls = {"/".join(path): called.calls for path, called in ranges.paths.items()}
        words = f"{facts.ranges} ranges of eventType 2 in domain Module, {facts.threads} thread, {ranges.crossing} overlap; {facts.domains}"
        same = calls == result["truth"] and not ranges.crossing and not facts.streamed
        yield judged(f"CANN takes the ranges of every module call, at {level}", same, words)
        share = f"{facts.linked.number} of {facts.kernels.number} kernels, {facts.linked.ns / (facts.kernels.ns or 1):.1%} of their time"
        whole = facts.kernels.number > 0 and facts.linked.ns >= 0.9 * facts.kernels.ns
        yield judged(f"kernels are linked to operators, at {level}", whole, share)
        problem = told["profiles"][0]["problem"]
        yield judged(
            f"the module table is there, at {level}",
            problem is None,
            problem or f"{len(told['rows'])} rows",
        )
    net = next((row["device_ns"] for row in told["rows"] if row["path"] == "Net"), 0)
    times = f"table: {net / 1e6:.3f} ms in Net; events around as many calls without a profile: {result['elapsed_ns'] / 1e6:.3f} ms"
    question = "device times of the table are those of the device"
    if machine.simulated:
        yield Outcome(question, OPEN, f"a simulation has none; {times}")
    else:
        yield judged(question, 0 < net <= 1.2 * result["elapsed_ns"], times)


def streams(machine: Machine) -> Iterator[Outcome]:
    """Ranges with a stream have a task on the device, around the kernels of their module."""
    question = "with streams=on a module's range on the device spans its kernels"
    machine.run(
        "streams", programs.program(programs.MODULES, levels=("Level1",)), AUTOINSTR_STREAMS="on"
    )
    machine.analyse("streams/Level1")
    connection = connect(machine.database("streams/Level1"))
    [(kernels, inside)] = connection.execute(KERNELS)
    facts = read_facts(connection)
    connection.close()
    words = f"{inside or 0} of {kernels} kernels of Net lie inside its range on the device; domains: {facts.domains}"
    if machine.simulated and not kernels:
        yield Outcome(
            question,
            OPEN,
            f"the simulated device does not come to ranges; domains: {facts.domains}",
        )
    else:
        yield judged(question, bool(kernels) and inside == kernels, words)


def cost(machine: Machine) -> Iterator[Outcome]:
    """Figures, no judgement."""
    on, off = (
        machine.run(f"cost-{agent}", programs.program(programs.COST), agent=agent)
        for agent in (True, False)
    )
    pair = on["on"]["pair"] - on["on"]["nothing"]
    words = f"two bare calls {pair:.0f} ns; a module call with a range {on['on']['module']:.0f} ns, without {off['on']['module']:.0f} ns"
    idle = f"; while nothing profiles {on['off']['module']:.0f} and {off['off']['module']:.0f} ns"
    adds = on["on"]["module"] - off["on"]["module"] - pair
    yield Outcome(
        "what a range costs on the host",
        "measured",
        f"{words}{idle}; the agent adds {adds:.0f} ns to the two calls",
    )


def graphs(machine: Machine) -> Iterator[Outcome]:
    """A replay of a graph that was captured before the profile has no operators; one captured
    inside has what `capture=through` gives."""
    machine.run("graphs", programs.program(programs.GRAPH))
    for when, question in (
        ("before", "a replay has kernels without operators, and analyse says so"),
        ("within", "a capture inside the profile has module ranges"),
    ):
        told = machine.analyse(f"graphs/{when}")["profiles"][0]
        said = str(told["problem"] or told["remarks"])
        words = f"{told['linked_kernels']} of {told['kernels']} kernels linked; domains {told['domains']}; {said}"
        replayed = told["linked_kernels"] < told["kernels"]
        if when == "before" and machine.simulated and not replayed:
            yield Outcome(question, OPEN, f"a simulated replay records no kernels; {words}")
            continue
        holds = (
            (replayed and "graph replay" in said)
            if when == "before"
            else "Module" in told["domains"]
        )
        yield judged(question, holds, words)


def mspti(machine: Machine) -> Iterator[Outcome]:
    """MSPTI's own monitor sees the ranges, unless the kill switch is set."""
    source = programs.program(programs.MSPTI)
    on, off = (
        machine.run("mspti-on", source),
        machine.run("mspti-off", source, AUTOINSTR_MSPTI="off"),
    )
    words = f"{on['modules']} ranges of modules; with mspti=off {off['modules']}"
    yield judged(
        "MSPTI takes the ranges, and mspti=off keeps them from it",
        on["modules"] > 0 == off["modules"],
        words,
    )


def vllm(machine: Machine) -> Iterator[Outcome]:
    """The guide's script, eager and with graphs."""
    if machine.model is None:
        raise NotHere("no --model was given")
    for name, settings, options in (
        ("eager", {"enforce_eager": True}, {}),
        ("graphs", {}, {"AUTOINSTR_CAPTURE": "through"}),
    ):
        machine.run(
            f"vllm-{name}",
            programs.VLLM,
            machine.model,
            json.dumps({**machine.settings, **settings}),
            **options,
        )
        told = machine.analyse(f"vllm-{name}")
        one = told["profiles"][0]
        rows = sorted(
            (row for row in told["rows"] if row["variant"] is None),
            key=lambda row: -row["device_ns"],
        )[:5]
        words = "; ".join(
            f"{row['path']} {row['device_ns'] / 1e6:.2f} ms in {row['calls']} calls" for row in rows
        )
        words += f"; {one['linked_kernels']} of {one['kernels']} kernels linked; {one['problem'] or one['remarks'] or 'no remarks'}"
        yield judged(f"the guide's vLLM script without an edit, {name}", bool(rows), words)


CHECKS: dict[str, Callable[[Machine], Iterator[Outcome]]] = {
    "modules": modules,
    "streams": streams,
    "cost": cost,
    "graphs": graphs,
    "mspti": mspti,
    "vllm": vllm,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="a Python with torch_npu, structlog and wrapt (default: this one)",
    )
    parser.add_argument(
        "--msprof-analyze", help="msprof-analyze 26, if it is in another environment"
    )
    parser.add_argument("--model", help="a model for vLLM; without it vLLM is left out")
    parser.add_argument("--settings", default="{}", help="JSON: what LLM() gets beside the model")
    parser.add_argument("--only", help=f"a comma list of {', '.join(CHECKS)} (default: all)")
    parser.add_argument("--keep", action="store_true", help="keep what was run, and say where")
    parser.add_argument(
        "-o",
        "--output",
        default="npu-acceptance.md",
        help="the report (default: npu-acceptance.md)",
    )
    args = parser.parse_args()
    begin, work = time.monotonic(), Path(tempfile.mkdtemp(prefix="autoinstr-npu-"))
    try:
        lines, simulated = about(args.python)
    except NotHere as reason:
        print(f"npu-acceptance: there is no NPU for {args.python}: {reason}", file=sys.stderr)
        return 1
    machine = Machine(
        args.python, work, simulated, args.msprof_analyze, args.model, json.loads(args.settings)
    )
    outcomes: list[Outcome] = []
    for name in args.only.split(",") if args.only else CHECKS:
        print(f"{time.monotonic() - begin:4.0f} s  {name}", file=sys.stderr, flush=True)
        try:
            for outcome in CHECKS[name](machine):
                outcomes.append(outcome)
        except NotHere as reason:
            outcomes.append(Outcome(name, OPEN, str(reason)))
        except Hurt as reason:
            outcomes.append(Outcome(name, FAILED, str(reason)))
        except (
            OSError,
            subprocess.TimeoutExpired,
            sqlite3.Error,
            KeyError,
            IndexError,
            ValueError,
        ) as error:
            outcomes.append(Outcome(name, FAILED, f"{type(error).__name__}: {error}"))
    title = "# autoinstr on an NPU" + (
        ": A SIMULATION, which proves nothing about a real one" if simulated else ""
    )
    report = [
        title,
        "",
        *lines,
        f"- {time.monotonic() - begin:.0f} s",
        "",
        "| question | | figures |",
        "|---|---|---|",
    ]
    if simulated:
        outcomes = [one._replace(state=AGREES) if one.state == PROVED else one for one in outcomes]
    report += [
        f"| {one.question} | {one.state} | {one.words.replace('|', '/').replace(str(work), '…')} |"
        for one in outcomes
    ]
    Path(args.output).write_text("\n".join(report) + "\n")
    print("\n".join(report))
    bad = any(one.state == FAILED for one in outcomes)
    if bad or args.keep:
        print(f"what was run is in {work}", file=sys.stderr)
    else:
        shutil.rmtree(work, ignore_errors=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
