"""Explain in words why a profile has no device table, or what limits the table that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.text import format_count
from autoinstr.device.ascend.database import MAX_DEPTH, MODULE, START_END
from autoinstr.device.ascend.database_checks import NEEDED_TABLES, describe_missing_tables
from autoinstr.emitters.domains import is_device_domain, is_thread_domain

if TYPE_CHECKING:
    from autoinstr.device.ascend.database import DatabaseFacts, ModuleRanges

PUSH_POP = 1  # eventType
EVENT_TYPES = {0: "marks", PUSH_POP: "push/pop", START_END: "start/end", 3: "marks"}
MIN_REPORTED_SHARE = 0.01  # of the kernels' time without an operator


def explain_missing_table(facts: DatabaseFacts, settings: dict[str, Any]) -> str:
    """Say why there can be no table; "" if nothing is known to be missing.

    `settings` are those of the profiler. `autoinstr report --format ascend-db` adds `made_by`.
    """
    if settings.get("made_by") and not facts.range_count:
        return "no ranges of modules: this process called none, or none while it was profiled"
    if settings.get("made_by") and not facts.operator_count:
        return (
            "no operators: it was made from a recording alone (run torch.profiler as well, "
            "then autoinstr report --format ascend-db --kineto TRACE)"
        )
    if not facts.domains:
        if settings and not (settings.get("mstx") or settings.get("msprof_tx")):
            return (
                "no mstx ranges: it was profiled without mstx (AUTOINSTR_PROFILER=mstx=on); with "
                "with_modules, autoinstr report shows torch's own rows of modules"
            )
        return "no mstx ranges: nothing was called while the profiler ran, or it ran without mstx"
    if MODULE not in facts.domains:
        return _explain_missing_domain(facts)
    if not facts.range_count:
        counts = " and ".join(
            f"{number:,} {EVENT_TYPES.get(event_type, event_type)} (eventType {event_type})"
            for event_type, number in facts.domains[MODULE].items()
        )
        return (
            f"the domain {MODULE} has {counts}, and msprof-analyze reads ranges made by start "
            f"and end (eventType {START_END}) only"
        )
    missing_tables = [name for name in NEEDED_TABLES if name not in facts.tables]
    if missing_tables and facts.operator_count and facts.kernels.number:
        return f"the database {describe_missing_tables(missing_tables)}"
    if not facts.kernels.number:
        if missing_tables and facts.operator_count and "CANN_API" in facts.tables:
            return f"no kernels: the database {describe_missing_tables(missing_tables)}"
        activities = " ".join(map(str, settings.get("activities") or ()))
        reason = (
            "NPU was not among its activities"
            if activities and "NPU" not in activities
            else "the device recorded nothing"
        )
        return f"no kernels: {reason} (AUTOINSTR_PROFILER='activities=cpu,npu;level=Level1')"
    if not facts.operator_count:
        return (
            "no operators (PYTORCH_API): it was profiled without CPU activity "
            "(AUTOINSTR_PROFILER=activities=cpu,npu)"
        )
    if not facts.linked.number:
        return f"no kernel is linked to an operator: {_explain_unlinked_kernels(facts)}"
    return ""


def explain_empty_modules(facts: DatabaseFacts) -> str:
    """Say why msprof-analyze gave no rows although the database is complete."""
    note = f": {_describe_stream_ranges(facts)}" if facts.with_stream else ""
    return f"no operator that launched a kernel lies inside a range of {MODULE}{note}"


def list_remarks(facts: DatabaseFacts, ranges: ModuleRanges) -> list[str]:
    """List what limits the figures of the table."""
    remarks = []
    if facts.on_cpu:
        remarks.append(
            "no device took part: a kernel here is an operator of the CPU that no other operator "
            "called, and device time is its time on the host"
        )
    if ranges.too_deep:
        remarks.append(
            f"msprof-analyze goes down {MAX_DEPTH} levels of modules, and this model has "
            f"{ranges.max_depth}: the kernels of the {format_count(ranges.too_deep, 'range')} "
            "below count as outside modules"
        )
    if ranges.overlapping:
        remarks.append(
            f"{format_count(ranges.overlapping, 'range')} of {MODULE} overlap without nesting "
            f"(made by {format_count(facts.thread_count, 'thread')}): modules around them have the "
            f"wrong parent (autoinstr makes ranges of {MODULE} in one thread only: check the "
            "script for ranges of its own)"
        )
    thread_domains = {
        domain: sum(counts.values())
        for domain, counts in facts.domains.items()
        if is_thread_domain(domain, MODULE)
    }
    if thread_domains:
        remarks.append(
            "other threads called modules too, and msprof-analyze does not read those: "
            + _join_counts(thread_domains)
            + ". It goes by time alone: kernels that they launched meanwhile are counted for the "
            "modules that ran in the first thread"
        )
    if facts.with_stream:
        remarks.append(_describe_stream_ranges(facts))
    push_pop = facts.domains.get(MODULE, {}).get(PUSH_POP, 0)
    if push_pop:
        remarks.append(
            f"{format_count(push_pop, 'range')} of {MODULE} made by push/pop "
            f"(eventType {PUSH_POP}) are left out, because msprof-analyze does not read them"
        )
    unlinked_ns = facts.kernels.total_ns - facts.linked.total_ns
    if facts.kernels.total_ns and unlinked_ns / facts.kernels.total_ns >= MIN_REPORTED_SHARE:
        share = f"{100 * unlinked_ns / facts.kernels.total_ns:.1f}% of the kernels' time"
        remarks.append(f"{share} has no operator: {_explain_unlinked_kernels(facts)}")
    return remarks


def _explain_missing_domain(facts: DatabaseFacts) -> str:
    counts = {domain: sum(types.values()) for domain, types in facts.domains.items()}
    similar = next((domain for domain in counts if domain.lower() == MODULE.lower()), None)
    if similar:
        advice = f"{similar!a} is spelled differently: AUTOINSTR_DOMAIN={MODULE}"
    elif any(is_device_domain(domain, MODULE) for domain in counts):
        advice = (
            "the modules are on the device only: their host ranges were filtered out, see "
            "mstx_domain_include and mstx_domain_exclude"
        )
    elif set(counts) == {"default"}:
        advice = "if modules are in it: a CANN without domains puts all ranges into default"
    elif any(is_thread_domain(domain, MODULE) for domain in counts):
        advice = "modules were called by other threads only"
    else:
        advice = (
            f"AUTOINSTR_DOMAIN named another domain, or {MODULE} was filtered out, or the agent "
            "was not on"
        )
    return (
        f"no ranges in the domain {MODULE}, the only one that msprof-analyze reads; there are: "
        f"{_join_counts(counts)} ({advice})"
    )


def _explain_unlinked_kernels(facts: DatabaseFacts) -> str:
    if "CANN_API" not in facts.tables:
        return "there is no record of launches (CANN_API; AUTOINSTR_PROFILER=level=Level1)"
    if "CONNECTION_IDS" not in facts.tables:
        return "the database has no table CONNECTION_IDS: its export was not finished"
    if facts.silent_threads:
        return (
            f"{format_count(facts.silent_threads, 'thread')} called modules, but torch_npu noted "
            "no operator there: it does so in the thread that starts the profiler alone (start it "
            "in the thread that calls the model, or call enable_profiler_in_child_thread there)"
        )
    return (
        "graph replay launches without operators and without module calls (profile the capture "
        "too, AUTOINSTR_CAPTURE=through, or run eagerly); so do kernels that were launched before "
        "the profile began, and by threads whose operators torch_npu does not note"
    )


def _describe_stream_ranges(facts: DatabaseFacts) -> str:
    return (
        f"{facts.with_stream:,} of {format_count(facts.range_count, 'range')} of {MODULE} were "
        "made with a stream: they have the times of the task queue instead of the caller's, so "
        "operators count for the wrong modules"
    )


def _join_counts(domains: dict[str, int]) -> str:
    return ", ".join(f"{domain} ({number:,})" for domain, number in domains.items())
