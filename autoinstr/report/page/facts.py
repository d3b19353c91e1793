"""What a page says of the run and of its processes: who ran what, where, when, and what to know
before believing the figures."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from autoinstr import __version__
from autoinstr.analysis.clock import alignment_lines
from autoinstr.analysis.processes import overhead
from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.processes import Process
    from autoinstr.recording.reader import Recording, Run

LONGEST_COMMAND = 4_000  # characters


def run_entry(
    run: Run, processes: Sequence[Process], times: tuple[int, int] | None
) -> dict[str, Any]:
    """The head of the page. `times` are the first and the last nanosecond since 1970 in which
    something was recorded."""
    recordings = run.recordings
    versions: dict[str, list[str]] = {}
    for recording in recordings:
        for package, version in recording.versions.items():
            if version not in versions.setdefault(str(package), []):
                versions[str(package)].append(str(version))
    known = [one for one in recordings if one.clock_pairs[0][0]] or recordings
    first = min(
        known, key=lambda one: one.clock_pairs[0][0], default=None
    )  # the process that all others came from
    command = shlex.join(map(str, first.argv)) if first is not None else ""
    began = first.clock_pairs[0][0] if first is not None else 0
    return {
        "name": printable(os.path.basename(os.path.abspath(run.path))),
        "command": printable(
            command if len(command) <= LONGEST_COMMAND else command[:LONGEST_COMMAND] + " …"
        ),
        "began_ms": (times[0] if times else began) / 1e6 or None,
        "duration_ns": times[1] - times[0] if times else None,
        "hosts": list(dict.fromkeys(printable(recording.host) for recording in recordings)),
        "platforms": sorted(
            {printable(str(recording.header.get("platform") or "")) for recording in recordings}
            - {""}
        ),
        "versions": {
            printable(package): ", ".join(map(printable, found))
            for package, found in versions.items()
        },
        "ranges": sum(process.ranges for process in processes),
        "dropped": sum(recording.dropped for recording in recordings),
        "overhead": overhead(processes),
        "incomplete": sum(not recording.complete for recording in recordings),
        "unread": len(run.problems),
        "version": __version__,
    }


def process_entry(process: Process) -> dict[str, Any]:
    """One process."""
    recording = process.recording
    return {
        "label": printable(process.label),
        "host": printable(recording.host),
        "rank": recording.rank,
        "emitter": printable(recording.emitter),
        "state": _state(recording),
        "dropped": recording.dropped,
        "ranges": process.ranges,
        "threads": process.threads,
        "inside_ns": process.inside_ns,
        "file": printable(os.path.basename(recording.file)),
    }


def _state(recording: Recording) -> str:
    if recording.problems:
        return "damaged"
    return "complete" if recording.complete else "killed or still running"


def notices(run: Run, processes: Sequence[Process]) -> list[str]:
    """What to know before believing the figures, a line each."""
    lines = [*run.problems, *alignment_lines(run.recordings)]
    for process in processes:
        lines += [*process.notes, *process.recording.problems]
    idle = [process.label for process in processes if not process.ranges]
    if idle:
        lines.append(
            "recorded nothing: "
            + "; ".join(idle[:8])
            + (f" and {len(idle) - 8:,} more" if len(idle) > 8 else "")
        )
    return [printable(line) for line in lines]
