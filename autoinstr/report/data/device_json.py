"""The device time in `--format json`: the entry at the top, and that of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.device_figures import compute_figures, explain_missing_flops
from autoinstr.device.bases import BASES
from autoinstr.device.profile_store import KINDS

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import ProcessDevice, RunDevice
    from autoinstr.device.device_times import DeviceTimes, KernelSum, RowTimes
    from autoinstr.device.peaks import Peak
    from autoinstr.device.utilisation import StepTimes


def build_device_entry(device: RunDevice | None) -> dict[str, Any] | None:
    """Return the entry at the top; None where no profile was read."""
    if device is None:
        return None
    total = device.total
    return {
        "profiles": [_build_profile_entry(profile) for profile in device.profiles],
        "kernels": total.kernels,
        "device_ns": total.ns,
        "bases": {basis: _build_sum_entry(device.sum_basis(basis)) for basis in BASES},
        "steps": [
            _build_step_entry(profile, step)
            for profile in device.profiles
            if profile.times.utilisation is not None
            for step in profile.times.utilisation.steps
        ],
    }


def _build_step_entry(profile: ProcessDevice, entry: StepTimes) -> dict[str, Any]:
    return {
        "process": profile.facts.process,
        "name": entry.step.name,
        "start_ns": entry.step.start_ns + profile.facts.base_ns,
        "duration_ns": entry.step.end_ns - entry.step.start_ns,
        "kernels": entry.kernels,
        "device_ns": entry.device_ns,
        "busy_ns": entry.busy_ns,
        "idle_ns": entry.idle_ns,
    }


def _build_profile_entry(profile: ProcessDevice) -> dict[str, Any]:
    facts, times = profile.facts, profile.times
    return {
        "file": facts.path,
        "kind": facts.kind,
        "process": facts.process,
        "rank": facts.rank,
        "on_cpu": times.on_cpu,
        "devices": list(times.device_names),
        "peak": _build_peak_entry(profile.peak) if profile.peak is not None else None,
        "kernels": times.total.kernels,
        "device_ns": times.total.ns,
        "bases": {basis: _build_sum_entry(part) for basis, part in times.by_basis.items()},
        "kinds": {kind: _build_sum_entry(part) for kind, part in zip(KINDS, times.by_kind)},
        "unknown": {reason: _build_sum_entry(part) for reason, part in times.reasons.items()},
        "flops": times.work.known_flops,
        "flops_missing": explain_missing_flops(times),
        "communication": _build_communication_entry(times),
        "memory": _build_memory_entry(times) if times.memory.events else None,
        "problems": facts.complaints,
    }


def _build_peak_entry(peak: Peak) -> dict[str, Any]:
    return {"name": peak.name, "tflops": peak.tflops, "gb_per_s": peak.gb_per_s}


def _build_communication_entry(times: DeviceTimes) -> dict[str, int | None] | None:
    """Return the sums of the collectives that are known on all ranks; None without any."""
    found = times.communication
    if not found.kernels:
        return None
    return {
        "kernels": found.kernels,
        "transfer_ns": found.transfer_ns,
        "wait_ns": found.wait_ns,
        "slowest_rank": found.slowest_rank,
    }


def _build_memory_entry(times: DeviceTimes) -> dict[str, int | None]:
    memory = times.memory
    return {
        "events": memory.events,
        "allocated_bytes": memory.allocated_bytes,
        "net_bytes": memory.net_bytes if times.has_frees else None,
        "peak_bytes": memory.peak_bytes or None,
    }


def _build_sum_entry(part: KernelSum) -> dict[str, int]:
    return {"kernels": part.kernels, "device_ns": part.ns}


def build_row_device_entry(profile: ProcessDevice, row: RowTimes) -> dict[str, Any]:
    """Return the device time of one row."""
    return {
        "self_ns": row.own.ns,
        "total_ns": row.total.ns,
        "self_kernels": row.own.kernels,
        "kernels": row.total.kernels,
        "by_basis": {basis: [part.kernels, part.ns] for basis, part in row.by_basis.items()},
        "total_by_basis": {
            basis: [part.kernels, part.ns] for basis, part in row.total_by_basis.items()
        },
        "kinds": {
            kind: [part.kernels, part.ns]
            for kind, part in zip(KINDS, row.total_by_kind)
            if part.kernels
        },
        "top_kernel": profile.name_top_kernel(row) or None,
        **compute_figures(row, profile),
    }


def build_line_entries(process: int, profile: ProcessDevice) -> list[dict[str, Any]]:
    """Return the rows that the recording does not have: modules of replayed graphs, and lines of no
    module, such as AccumulateGrad."""
    return [
        {
            "process": process,
            "thread": {"tid": 0, "name": "device"},
            "domain": "Module",
            "root": "",
            "path": "",
            "class": classes[-1],
            "message": classes[-1],
            "classes": list(classes),
            "params": None,
            "param_bytes": None,
            "calls": 0,
            "total_ns": 0,
            "self_ns": 0,
            "min_ns": 0,
            "p50_ns": 0,
            "p99_ns": 0,
            "max_ns": 0,
            "phase": None,
            "device": build_row_device_entry(profile, row),
        }
        for classes, row in profile.lines.items()
    ]
