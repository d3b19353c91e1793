"""What was instrumented in each process, what was left out and why, as far as the recordings
say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from autoinstr.analysis.alike import Group
    from autoinstr.recording.reader import Recording, Run

MOST = 2_000  # of one list
PLACES = ("out", "log_file", "config")  # options that change nothing of what is recorded
CALLED, WRAPPED, MISSING = "called", "wrapped", "missing"


def instrumented_entry(run: Run, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Processes that were instrumented alike have one entry: {"processes": indices, "emitter",
    "options" (null: the recording does not say), "targets": [[name, status, nearest]], "left_out":
    [[class, path, reason]]}."""
    called: dict[int, Collection[str]] = {}
    for group in groups:
        functions = {
            line.path for lines in group.lines.values() for line in lines if not line.node.classes
        }
        called.update((process.index, functions) for process in group.processes)
    found: dict[str, dict[str, Any]] = {}
    for at, recording in enumerate(run.recordings):
        entry = _entry(recording, called.get(at, ()))
        found.setdefault(repr(entry), {"processes": [], **entry})["processes"].append(at)
    return list(found.values())


def _entry(recording: Recording, called: Collection[str]) -> dict[str, Any]:
    options = recording.header.get("options")
    said = options.items() if isinstance(options, dict) else ()
    return {
        "emitter": printable(recording.emitter),
        "options": {_text(key): _text(value) for key, value in said if key not in PLACES}
        if isinstance(options, dict)
        else None,
        "targets": _targets(recording, called),
        "left_out": [
            [_text(one.get(key)) for key in ("cls", "path", "reason")]
            for one in recording.left_out[:MOST]
        ],
    }


def _targets(recording: Recording, called: Collection[str]) -> list[list[str]]:
    """One entry for each name: several rows may have it, for several versions."""
    found: dict[str, list[str]] = {}
    for one in recording.targets[:MOST]:
        name, status = _text(one.get("name")), _text(one.get("status"))
        if status == WRAPPED and name in called:
            status = CALLED
        if name not in found or found[name][1] == MISSING:
            found[name] = [name, status, _text(one.get("nearest"))]
    return sorted(found.values())


def _text(value: object) -> str:
    return "" if value is None else printable(str(value))
