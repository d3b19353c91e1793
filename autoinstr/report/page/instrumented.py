"""What was instrumented in each process, and what was left out and why, from the recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.text import escape_unprintable
from autoinstr.device.profile_recording import FROM_PROFILE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from autoinstr.analysis.alike import ProcessGroup
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

MAX_ROWS = 2_000  # of one list
PATH_OPTIONS = ("out", "log_file", "config")  # they do not change what is recorded
STATUS_CALLED, STATUS_WRAPPED, STATUS_MISSING = "called", "wrapped", "missing"


def list_instrumented(run: Run, groups: Sequence[ProcessGroup]) -> list[dict[str, Any]]:
    """Return one entry for each set of processes with the same instrumentation.

    An entry is {"processes": indices, "emitter", "options" (null: not in the recording), "targets":
    [[name, status, nearest]], "left_out": [[class, path, reason]]}.
    """
    called_functions: dict[int, Collection[str]] = {}
    for group in groups:
        functions = {
            line.path for lines in group.lines.values() for line in lines if not line.node.classes
        }
        called_functions.update((process.index, functions) for process in group.processes)
    entries: dict[str, dict[str, Any]] = {}
    for index, recording in enumerate(run.recordings):
        if FROM_PROFILE in recording.header:  # another program chose what has ranges
            continue
        entry = _build_entry(recording, called_functions.get(index, ()))
        shared_entry = entries.setdefault(repr(entry), {"processes": [], **entry})
        shared_entry["processes"].append(index)
    return list(entries.values())


def _build_entry(recording: Recording, functions: Collection[str]) -> dict[str, Any]:
    header_options = recording.header.get("options")
    options = None
    if isinstance(header_options, dict):
        options = {
            _format_value(key): _format_value(value)
            for key, value in header_options.items()
            if key not in PATH_OPTIONS
        }
    return {
        "emitter": escape_unprintable(recording.emitter),
        "options": options,
        "targets": _list_targets(recording, functions),
        "left_out": [
            [_format_value(row.get(key)) for key in ("cls", "path", "reason")]
            for row in recording.excluded_classes[:MAX_ROWS]
        ],
    }


def _list_targets(recording: Recording, functions: Collection[str]) -> list[list[str]]:
    """Return one row for each target name. A name may have a target for each of several versions.

    `functions` are the names of the functions that were called.
    """
    targets: dict[str, list[str]] = {}
    for row in recording.targets[:MAX_ROWS]:
        name, status = _format_value(row.get("name")), _format_value(row.get("status"))
        if status == STATUS_WRAPPED and name in functions:
            status = STATUS_CALLED
        if name not in targets or targets[name][1] == STATUS_MISSING:
            targets[name] = [name, status, _format_value(row.get("nearest"))]
    return sorted(targets.values())


def _format_value(value: object) -> str:
    return "" if value is None else escape_unprintable(str(value))
