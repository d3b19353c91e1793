"""The facts of a page: what ran, where and when, and the notices about its figures."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from autoinstr import __version__
from autoinstr.analysis.clock import describe_alignment
from autoinstr.analysis.compiled_summary import describe_compiled
from autoinstr.analysis.dropped_ranges import describe_dropped_ranges
from autoinstr.analysis.processes import describe_hidden_backward, estimate_overhead
from autoinstr.base.text import escape_unprintable
from autoinstr.device.profile_recording import FROM_PROFILE
from autoinstr.report.terminal.device_lines import format_basis_lines, format_device_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.processes import Process
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

MAX_COMMAND_LENGTH = 4_000  # characters
MAX_LISTED = 8  # processes in one notice
LINE_WIDTH = 2_000  # a notice wraps by itself


def build_run_entry(
    run: Run, processes: Sequence[Process], times: tuple[int, int] | None
) -> dict[str, Any]:
    """Return the head of the page.

    `times` are the first and the last recorded nanosecond since 1970; None if nothing was recorded.
    """
    recordings = run.recordings
    # The first process started all others, so its command is the command of the run.
    with_clock = [recording for recording in recordings if recording.clock_pairs[0][0]]
    first_recording = min(
        with_clock or recordings, key=lambda recording: recording.clock_pairs[0][0], default=None
    )
    command, start_ns = "", 0
    if first_recording is not None:
        command = shlex.join(map(str, first_recording.argv))
        start_ns = first_recording.clock_pairs[0][0]
    if len(command) > MAX_COMMAND_LENGTH:
        command = command[:MAX_COMMAND_LENGTH] + " …"
    platforms = {
        escape_unprintable(str(recording.header.get("platform") or "")) for recording in recordings
    }
    compiled_line = "".join(describe_compiled(process.compiled for process in processes))
    hosts = (escape_unprintable(recording.host) for recording in recordings)
    return {
        "name": escape_unprintable(os.path.basename(os.path.abspath(run.path))),
        "command": escape_unprintable(command),
        "began_ms": (times[0] if times else start_ns) / 1e6 or None,
        "duration_ns": times[1] - times[0] if times else None,
        "hosts": list(dict.fromkeys(hosts)),
        "platforms": sorted(platforms - {""}),
        "versions": _collect_versions(recordings),
        "ranges": sum(process.ranges for process in processes),
        "dropped": sum(recording.dropped_count for recording in recordings),
        "overhead": estimate_overhead(processes),
        "from_profile": all(FROM_PROFILE in recording.header for recording in recordings),
        "compiled": compiled_line.partition(": ")[2],
        "incomplete": sum(not recording.is_complete for recording in recordings),
        "version": __version__,
    }


def _collect_versions(recordings: Sequence[Recording]) -> dict[str, str]:
    """Return package -> its versions; processes of one run may differ."""
    versions: dict[str, list[str]] = {}
    for recording in recordings:
        for package, version in recording.versions.items():
            package_versions = versions.setdefault(str(package), [])
            if version not in package_versions:
                package_versions.append(str(version))
    return {
        escape_unprintable(package): ", ".join(map(escape_unprintable, package_versions))
        for package, package_versions in versions.items()
    }


def build_process_entry(process: Process) -> dict[str, Any]:
    """Return one row of the table of processes."""
    recording = process.recording
    return {
        "label": escape_unprintable(process.label),
        "host": escape_unprintable(recording.host),
        "rank": recording.rank,
        "emitter": escape_unprintable(recording.emitter),
        "state": _describe_state(recording),
        "dropped": recording.dropped_count,
        "ranges": process.ranges,
        "threads": process.threads,
        "inside_ns": process.inside_ns,
        "waiting_ns": process.inside_ns - process.busy_ns,
        "file": escape_unprintable(os.path.basename(recording.file)),
    }


def _describe_state(recording: Recording) -> str:
    if recording.problems:
        return "damaged"
    return "complete" if recording.is_complete else "killed or still running"


def list_losses(run: Run, processes: Sequence[Process]) -> list[str]:
    """Return what is lost, a line each: dropped ranges, damaged and unreadable recordings."""
    lines = list(run.problems)
    for process in processes:
        dropped_ranges = describe_dropped_ranges(process.recording)
        if dropped_ranges:
            lines.append(f"{process.label}: {dropped_ranges}")
        lines += process.recording.problems
    return [escape_unprintable(line) for line in lines]


def list_notes(run: Run, processes: Sequence[Process]) -> list[str]:
    """Return what else a reader must know about the figures, a line each.

    A process that was killed, or still runs, loses nothing: what it recorded is in the file."""
    lines = [*describe_alignment(run.recordings), *describe_hidden_backward(run, processes)]
    for process in processes:
        dropped_ranges = describe_dropped_ranges(process.recording)
        lines += [
            note for note in process.notes if not dropped_ranges or dropped_ranges not in note
        ]
        if process.device is not None:
            lines += [f"{process.label}: {line}" for line in format_device_lines(process.device)]
            lines += format_basis_lines(process.device, LINE_WIDTH)
    empty = [
        process.label for process in processes if not process.ranges and process.device is None
    ]
    if empty:
        labels = "; ".join(empty[:MAX_LISTED])
        if len(empty) > MAX_LISTED:
            labels += f" and {len(empty) - MAX_LISTED:,} more"
        lines.append(f"recorded nothing: {labels}")
    return [escape_unprintable(line) for line in lines]
