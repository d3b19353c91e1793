"""The checks of tools/npu_acceptance.py: each yields the outcomes of one run on the NPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import npu_programs as programs
from acceptance import OPEN, NotAvailable, Outcome, build_outcome
from npu_machine import Machine

from autoinstr.device.ascend.database import connect, read_facts

AGREES = "agrees, simulated"
MIN_LINKED_SHARE = 0.9  # of the kernels' time
MAX_TIME_RATIO = 1.2  # between device times with and without a profile
# The kernels of the operators inside a range of Net on the host, and how many of them ran inside
# the range on the device.
KERNELS = """SELECT COUNT(*), SUM(t.startNs >= d.startNs AND t.endNs <= d.endNs)
    FROM MSTX_EVENTS h JOIN TASK d ON d.connectionId = h.connectionId
    JOIN PYTORCH_API a ON CAST(a.startNs AS INTEGER) BETWEEN h.startNs AND h.endNs
    JOIN CONNECTION_IDS c ON c.id = a.connectionId
    JOIN TASK t ON t.connectionId = c.connectionId
    JOIN COMPUTE_TASK_INFO i ON i.globalTaskId = t.globalTaskId
    WHERE h.domainId IN (SELECT id FROM STRING_IDS WHERE value = 'device:Module')
    AND h.message IN (SELECT id FROM STRING_IDS WHERE value = 'Net')"""


def check_modules(machine: Machine) -> Iterator[Outcome]:
    """Compare the ranges with torch's own hooks, and device times with the device's clock.

    The links of kernels to operators are checked at two levels.
    """
    result = machine.run("modules", programs.build_program(programs.MODULES))
    for level in ("Level0", "Level1"):
        analysis = machine.analyse(f"modules/{level}")
        connection = connect(machine.find_database(f"modules/{level}"))
        facts = read_facts(connection)
        connection.close()
        calls = {row["path"]: row["calls"] for row in analysis["rows"] if row["calls"] is not None}
        figures = f"{facts.range_count} ranges of modules; {facts.domains}"
        holds = calls == result["truth"] and not facts.with_stream
        question = f"CANN takes the ranges of every module call, at {level}"
        yield build_outcome(question, holds, figures)
        profile = analysis["profiles"][0]
        share = profile["linked_ns"] / (profile["device_ns"] or 1)
        yield build_outcome(
            f"kernels are linked to operators, at {level}",
            profile["kernels"] > 0 and share >= MIN_LINKED_SHARE,
            f"{profile['linked_kernels']} of {profile['kernels']} kernels, {share:.1%} of their "
            "time",
        )
        problem = profile["problem"]
        yield build_outcome(
            f"the module table is there, at {level}",
            problem is None,
            problem or f"{len(analysis['rows'])} rows",
        )
        if profile["check"] is not None:
            differences = profile["check"]["differences"]
            yield build_outcome(
                f"the table is msprof-analyze's but for known faults of it, at {level}",
                all(one["fault"] for one in differences),
                f"{profile['check']['equal']} operators equal, {len(differences)} not",
            )
    net = next((row["device_ns"] for row in analysis["rows"] if row["path"] == "Net"), 0)
    times = (
        f"table: {net / 1e6:.3f} ms in Net; events around as many calls without a profile: "
        f"{result['elapsed_ns'] / 1e6:.3f} ms"
    )
    question = "device times of the table are those of the device"
    if machine.simulated:
        yield Outcome(question, OPEN, f"a simulation has none; {times}")
    else:
        yield build_outcome(question, 0 < net <= MAX_TIME_RATIO * result["elapsed_ns"], times)


def check_streams(machine: Machine) -> Iterator[Outcome]:
    """Check that a range with a stream has a device task around the kernels of its module."""
    question = "with streams=on a module's range on the device spans its kernels"
    machine.run(
        "streams",
        programs.build_program(programs.MODULES, levels=("Level1",)),
        AUTOINSTR_STREAMS="on",
    )
    machine.analyse("streams/Level1")
    connection = connect(machine.find_database("streams/Level1"))
    [(kernels, covered)] = connection.execute(KERNELS)
    facts = read_facts(connection)
    connection.close()
    figures = (
        f"{covered or 0} of {kernels} kernels of Net lie inside its range on the device; "
        f"domains: {facts.domains}"
    )
    if machine.simulated and not kernels:
        yield Outcome(
            question,
            OPEN,
            f"the simulated device writes no ranges; domains: {facts.domains}",
        )
    else:
        yield build_outcome(question, bool(kernels) and covered == kernels, figures)


def measure_cost(machine: Machine) -> Iterator[Outcome]:
    """Measure the cost of a range on the host; this cannot fail."""
    on, off = (
        machine.run(f"cost-{agent}", programs.build_program(programs.COST), agent=agent)
        for agent in (True, False)
    )
    pair = on["on"]["pair"] - on["on"]["nothing"]
    agent_ns = on["on"]["module"] - off["on"]["module"] - pair
    yield Outcome(
        "what a range costs on the host",
        "measured",
        f"two bare calls {pair:.0f} ns; a module call with a range {on['on']['module']:.0f} ns, "
        f"without {off['on']['module']:.0f} ns; without a profiler {on['off']['module']:.0f} and "
        f"{off['off']['module']:.0f} ns; the agent adds {agent_ns:.0f} ns to the two calls",
    )


def check_graphs(machine: Machine) -> Iterator[Outcome]:
    """Check graph replays.

    A graph that was captured before the profile has no operators; one that was captured inside has
    the module ranges of `capture=through`.
    """
    machine.run("graphs", programs.build_program(programs.GRAPH))
    for moment, question in (
        ("before", "a replay has kernels without operators, and analyse says so"),
        ("within", "a capture inside the profile has module ranges"),
    ):
        profile = machine.analyse(f"graphs/{moment}")["profiles"][0]
        remarks = str(profile["problem"] or profile["remarks"])
        figures = (
            f"{profile['linked_kernels']} of {profile['kernels']} kernels linked; "
            f"domains {profile['domains']}; {remarks}"
        )
        has_replay = profile["linked_kernels"] < profile["kernels"]
        if moment == "before" and machine.simulated and not has_replay:
            yield Outcome(question, OPEN, f"a simulated replay records no kernels; {figures}")
            continue
        holds = "Module" in profile["domains"]
        if moment == "before":
            holds = has_replay and "replayed graph" in remarks
        yield build_outcome(question, holds, figures)


def check_mspti(machine: Machine) -> Iterator[Outcome]:
    """Check that MSPTI's own monitor receives the ranges, and none with mspti=off."""
    source = programs.build_program(programs.MSPTI)
    on, off = (
        machine.run("mspti-on", source),
        machine.run("mspti-off", source, AUTOINSTR_MSPTI="off"),
    )
    yield build_outcome(
        "MSPTI takes the ranges, and mspti=off keeps them from it",
        on["modules"] > 0 == off["modules"],
        f"{on['modules']} ranges of modules; with mspti=off {off['modules']}",
    )


def check_vllm(machine: Machine) -> Iterator[Outcome]:
    """Run the guide's script, eager and with graphs."""
    if machine.model is None:
        raise NotAvailable("no --model was given")
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
        analysis = machine.analyse(f"vllm-{name}")
        profile = analysis["profiles"][0]
        rows = sorted(
            (row for row in analysis["rows"] if row["variant"] is None),
            key=lambda row: -row["device_ns"],
        )[:5]
        times = "; ".join(
            f"{row['path']} {row['device_ns'] / 1e6:.2f} ms in {row['calls']} calls" for row in rows
        )
        remarks = profile["problem"] or profile["remarks"] or "no remarks"
        kernels = f"{profile['linked_kernels']} of {profile['kernels']} kernels linked"
        question = f"the guide's vLLM script without an edit, {name}"
        yield build_outcome(question, bool(rows), f"{times}; {kernels}; {remarks}")


CHECKS: dict[str, Callable[[Machine], Iterator[Outcome]]] = {
    "modules": check_modules,
    "streams": check_streams,
    "cost": measure_cost,
    "graphs": check_graphs,
    "mspti": check_mspti,
    "vllm": check_vllm,
}
