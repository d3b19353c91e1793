"""Explain in words why a profile has no device table, or what limits the table that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.text import format_count
from autoinstr.device import bases
from autoinstr.device.ascend.database_checks import NEEDED_TABLES, describe_missing_tables
from autoinstr.device.ascend.module_rows import MODULE
from autoinstr.emitters.domains import is_device_domain

if TYPE_CHECKING:
    from autoinstr.device.ascend.database import DatabaseFacts, KernelTotals
    from autoinstr.device.ascend.module_times import ModuleTimes

MIN_REPORTED_SHARE = 0.01  # of the kernels' time that no module has
UNLINKED = (bases.NO_LAUNCH, bases.NO_LAUNCHES, bases.NO_OPERATOR)


def explain_no_kernels(facts: DatabaseFacts, settings: dict[str, Any]) -> str:
    """Say why the database has no kernels.

    `settings` are those of the profiler. `autoinstr report --format ascend-db` adds `made_by`.
    """
    if settings.get("made_by"):
        if not facts.range_count:
            return "no ranges of modules: this process called none, or none while it was profiled"
        return (
            "no operators: it was made from a recording alone (run torch.profiler as well, "
            "then autoinstr report --format ascend-db --kineto TRACE)"
        )
    missing_tables = [name for name in NEEDED_TABLES if name not in facts.tables]
    if missing_tables and facts.operator_count:
        return f"no kernels: the database {describe_missing_tables(missing_tables)}"
    activities = " ".join(map(str, settings.get("activities") or ()))
    reason = (
        "NPU was not among its activities"
        if activities and "NPU" not in activities
        else "the device recorded nothing"
    )
    return f"no kernels: {reason} (AUTOINSTR_PROFILER='activities=cpu,npu;level=Level1')"


def explain_no_modules(facts: DatabaseFacts, times: ModuleTimes, settings: dict[str, Any]) -> str:
    """Say why no kernel has a module; "" if one has."""
    if times.tree.kernels:
        return ""
    if not any(module.calls for module in times.tree.children.values()):
        return _explain_no_calls(facts, settings)
    parts = {basis: part for basis, part in times.by_basis.items() if part.number}
    if bases.UNKNOWN in parts:
        return f"no kernel is known to belong to a module: {_explain_unknown(facts, times)}"
    if bases.OUTSIDE in parts:
        note = f": {_describe_stream_ranges(facts)}" if facts.with_stream else ""
        return f"no operator that launched a kernel lies inside a call of a module{note}"
    return "all kernels were launched before the profile began"


def list_remarks(facts: DatabaseFacts, times: ModuleTimes) -> list[str]:
    """List what limits the figures of the table."""
    remarks = []
    if facts.with_stream:
        remarks.append(_describe_stream_ranges(facts))
    if _is_large(times, times.by_basis[bases.UNKNOWN]):
        share = _describe_share(times, times.by_basis[bases.UNKNOWN])
        remarks.append(f"{share} has no known launch: {_explain_unknown(facts, times)}")
    early = times.by_basis[bases.BEFORE]
    if early.number:
        remarks.append(
            f"{format_count(early.number, 'kernel')} were launched before the profile began: they "
            "are no part of the shares"
        )
    return remarks


def _is_large(times: ModuleTimes, part: KernelTotals) -> bool:
    total_ns = times.kernels.total_ns
    return bool(total_ns) and part.total_ns / total_ns >= MIN_REPORTED_SHARE


def _describe_share(times: ModuleTimes, part: KernelTotals) -> str:
    return f"{100 * part.total_ns / times.kernels.total_ns:.1f}% of the kernels' time"


def _explain_no_calls(facts: DatabaseFacts, settings: dict[str, Any]) -> str:
    """Say why the database has no call of a module."""
    if settings.get("made_by"):
        return "no ranges of modules: this process called none, or none while it was profiled"
    if not facts.domains:
        if settings and not (settings.get("mstx") or settings.get("msprof_tx")):
            return (
                "no mstx ranges: it was profiled without mstx (AUTOINSTR_PROFILER=mstx=on) and "
                "without with_modules"
            )
        return "no mstx ranges: nothing was called while the profiler ran, or it ran without mstx"
    counts = {domain: sum(types.values()) for domain, types in facts.domains.items()}
    if any(is_device_domain(domain, MODULE) for domain in counts):
        advice = (
            "the modules are on the device only: their host ranges were filtered out, see "
            "mstx_domain_include and mstx_domain_exclude"
        )
    elif set(counts) == {"default"}:
        advice = "if modules are in it: a CANN without domains puts all ranges into default"
    else:
        advice = (
            f"AUTOINSTR_DOMAIN named another domain, or {MODULE} was filtered out, or the agent "
            "was not on"
        )
    return (
        f"no ranges in the domain {MODULE}; there are: "
        f"{', '.join(f'{domain} ({number:,})' for domain, number in counts.items())} ({advice})"
    )


def _explain_unknown(facts: DatabaseFacts, times: ModuleTimes) -> str:
    """Say why kernels are unknown: the reason that takes the most time."""
    reason = max(times.unknown, key=lambda text: times.unknown[text].total_ns)
    if reason not in UNLINKED:
        return reason
    if not facts.operator_count:
        return (
            "no operators (PYTORCH_API): it was profiled without CPU activity "
            "(AUTOINSTR_PROFILER=activities=cpu,npu)"
        )
    if "CONNECTION_IDS" not in facts.tables:
        return "the database has no table CONNECTION_IDS: its export was not finished"
    if facts.silent_threads:
        return (
            f"{format_count(facts.silent_threads, 'thread')} called modules, but torch_npu noted "
            "no operator there: it does so in the thread that starts the profiler alone (start it "
            "in the thread that calls the model, or call enable_profiler_in_child_thread there)"
        )
    if "CANN_API" not in facts.tables:
        return "there is no record of launches (CANN_API; AUTOINSTR_PROFILER=level=Level1)"
    return (
        "kernels of a replayed graph have no launch of their own (profile the capture too, "
        "AUTOINSTR_CAPTURE=through, or run eagerly), nor have kernels of threads that torch_npu "
        "does not note"
    )


def _describe_stream_ranges(facts: DatabaseFacts) -> str:
    return (
        f"{facts.with_stream:,} of {format_count(facts.range_count, 'range')} of {MODULE} were "
        "made with a stream: they have the times of the task queue instead of the caller's, so "
        "operators count for the wrong modules"
    )
