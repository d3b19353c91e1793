"""Why a profile has no module table, or what to know before believing one, in words. From what its
database holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.text import count
from autoinstr.device.ascend.database import DEEPEST, MODULE, START_END

if TYPE_CHECKING:
    from autoinstr.device.ascend.database import Facts, Ranges

DEVICE = "ModuleDevice"
KINDS = {0: "marks", 1: "push/pop", 2: "start/end", 3: "marks"}
WORTH_SAYING = 0.01  # of the kernels' time


def missing(facts: Facts, settings: dict[str, Any]) -> str:
    """Why there can be no table; "" if nothing is known to be missing."""
    if settings.get("made_by") and not facts.ranges:  # by autoinstr report --format ascend-db
        return "no ranges of modules: this process called none, or none while it was profiled"
    if settings.get("made_by") and not facts.operators:
        return (
            "no operators: it was made from a recording alone (run torch.profiler as well, then autoinstr report --format ascend-db "
            "--kineto TRACE)"
        )
    if not facts.domains:
        off = settings and not (settings.get("mstx") or settings.get("msprof_tx"))
        if off:
            return "no mstx ranges: it was profiled without mstx (AUTOINSTR_PROFILER=mstx=on)"
        return "no mstx ranges: nothing was called while the profiler ran, or it ran without mstx"
    if MODULE not in facts.domains:
        return _no_module(facts)
    if not facts.ranges:
        kinds = " and ".join(
            f"{number:,} {KINDS.get(kind, kind)} (eventType {kind})"
            for kind, number in facts.domains[MODULE].items()
        )
        return f"the domain {MODULE} has {kinds}, and msprof-analyze reads ranges made by start and end (eventType {START_END}) only"
    if not facts.kernels.number:
        activities = " ".join(map(str, settings.get("activities") or ()))
        why = (
            "NPU was not among its activities"
            if activities and "NPU" not in activities
            else "the device recorded nothing"
        )
        return f"no kernels: {why} (AUTOINSTR_PROFILER='activities=cpu,npu;level=Level1')"
    if not facts.operators:
        return "no operators (PYTORCH_API): it was profiled without CPU activity (AUTOINSTR_PROFILER=activities=cpu,npu)"
    if not facts.linked.number:
        return f"no kernel is linked to an operator: {_unlinked(facts)}"
    return ""


def outside(facts: Facts) -> str:
    """Why msprof-analyze found nothing, though all that it needs is there."""
    with_stream = facts.streamed and f": {_streamed(facts)}"
    return f"no operator that launched a kernel lies inside a range of {MODULE}{with_stream or ''}"


def remarks(facts: Facts, ranges: Ranges) -> list[str]:
    """What to know before believing the table."""
    lines = []
    if facts.on_cpu:
        lines.append(
            "no device took part: what is called a kernel here is an operator of the CPU that no other operator called, and device time is "
            "its time on the host"
        )
    if ranges.deep:
        lines.append(
            f"msprof-analyze goes down {DEEPEST} levels of modules, this model {ranges.deepest}: the kernels of the "
            f"{count(ranges.deep, 'range')} below count as outside modules"
        )
    if ranges.crossing:
        lines.append(
            f"{count(ranges.crossing, 'range')} of {MODULE} overlap without nesting (made by {count(facts.threads, 'thread')}): modules "
            "around them are under the wrong parent (autoinstr lets one thread in at a time: has the script ranges of its own?)"
        )
    others = {
        domain: sum(kinds.values())
        for domain, kinds in facts.domains.items()
        if domain.startswith(f"{MODULE}:")
    }
    if others:
        lines.append(
            f"other threads called modules too, which msprof-analyze does not read: {_listed(others)}"
        )
    if facts.streamed:
        lines.append(_streamed(facts))
    wrong = sum(number for kind, number in facts.domains.get(MODULE, {}).items() if kind == 1)
    if wrong:
        lines.append(
            f"{count(wrong, 'range')} of {MODULE} made by push/pop (eventType 1) are left out, as msprof-analyze does"
        )
    without = facts.kernels.ns - facts.linked.ns
    if facts.kernels.ns and without / facts.kernels.ns >= WORTH_SAYING:
        share = f"{100 * without / facts.kernels.ns:.1f}% of the kernels' time"
        lines.append(f"{share} has no operator: {_unlinked(facts)}")
    return lines


def _no_module(facts: Facts) -> str:
    there = {domain: sum(kinds.values()) for domain, kinds in facts.domains.items()}
    near = next((domain for domain in there if domain.lower() == MODULE.lower()), None)
    said = f"no ranges in the domain {MODULE}, the only one that msprof-analyze reads; there are: {_listed(there)}"
    if near:
        return f"{said} ({near!a} is another word: AUTOINSTR_DOMAIN={MODULE})"
    if DEVICE in there:
        return f"{said} (the modules are on the device only: their host ranges were filtered out, see mstx_domain_include and _exclude)"
    if set(there) == {"default"}:
        return f"{said} (were modules in it? A CANN that knows no domains puts all into default)"
    if any(domain.startswith(f"{MODULE}:") for domain in there):
        return f"{said} (modules were called by other threads only)"
    return f"{said} (another domain was chosen with AUTOINSTR_DOMAIN, or {MODULE} was filtered out, or the agent was not on)"


def _unlinked(facts: Facts) -> str:
    if "CANN_API" not in facts.tables:
        return "there is no record of launches (CANN_API; AUTOINSTR_PROFILER=level=Level1)"
    return (
        "graph replay launches without operators, and modules inside are not called (profile the capture too, AUTOINSTR_CAPTURE=through, "
        "or run eagerly)"
    )


def _streamed(facts: Facts) -> str:
    return (
        f"{facts.streamed:,} of {count(facts.ranges, 'range')} of {MODULE} were made with a stream: their times are the task queue's, not "
        "their callers', and operators are counted for the wrong modules"
    )


def _listed(domains: dict[str, int]) -> str:
    return ", ".join(f"{domain} ({number:,})" for domain, number in domains.items())
