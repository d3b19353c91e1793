"""What was instrumented in each process, what was left out and why, as far as the recordings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.report.text import printable

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording, Run

MOST = 2_000  # of one list


def instrumented_entry(run: Run) -> list[dict[str, Any]]:
    """Processes that were instrumented alike have one entry: {"processes": indices, "emitter", "names", "domain", "options", "targets":
    [[name, status, words]], "left_out": [[class, path, reason]], "told": whether the recordings hold these at all}."""
    found: dict[str, dict[str, Any]] = {}
    for at, recording in enumerate(run.recordings):
        entry = _entry(recording)
        found.setdefault(repr(entry), {"processes": [], **entry})["processes"].append(at)
    return list(found.values())


def _entry(recording: Recording) -> dict[str, Any]:
    header = recording.header
    called = {name.message for name in recording.names.values() if not name.cls}
    targets = []
    for one in recording.targets[:MOST]:
        status = str(one.get("status", ""))
        if status == "wrapped" and one.get("name") in called:
            status = "called"
        targets.append([printable(str(one.get("name", ""))), status, printable(str(one.get("nearest") or one.get("wanted") or ""))])
    options = header.get("options")
    return {
        "emitter": printable(recording.emitter),
        "names": printable(str(header.get("name") or "")),
        "domain": printable(str(header.get("domain") or "")),
        "options": {printable(str(key)): printable(str(value)) for key, value in options.items()} if isinstance(options, dict) else None,
        "targets": targets,
        "left_out": [[printable(str(one.get(key, ""))) for key in ("cls", "path", "reason")] for one in recording.left_out[:MOST]],
        "told": isinstance(options, dict),
    }
