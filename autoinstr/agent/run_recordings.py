"""Search the recordings of a run for facts that its processes have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import RecordingError
from autoinstr.base.system import calls
from autoinstr.recording import facts
from autoinstr.recording.format import KIND_DEFINITIONS, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable

SEARCHED_BYTES = 1 << 20  # of each recording: names and targets precede the first ranges
MAX_RECORDINGS = 64  # with more recordings than that, assume that the fact is in one of them


def has_any_range(folder: str, run: str) -> bool:
    """Return True if a recording of the run has a range."""
    return _has_fact(folder, run, facts.is_name)


def is_target_wrapped(folder: str, run: str, target: str) -> bool:
    """Return True if a process of the run that has a recording wrapped the target."""
    return _has_fact(folder, run, lambda definition: facts.is_wrapped_target(definition, target))


def _has_fact(folder: str, run: str, is_fact: Callable[[Any], bool]) -> bool:
    """Return True if a recording of the run has a definition for which `is_fact` is true."""
    try:
        names = sorted(name for name in calls.listdir(folder) if name.endswith(SUFFIX))
    except OSError:
        return False
    return len(names) > MAX_RECORDINGS or any(
        _recording_has_fact(f"{folder}/{name}", run, is_fact) for name in names
    )


def _recording_has_fact(file: str, run: str, is_fact: Callable[[Any], bool]) -> bool:
    """Search one recording. Several runs may share a folder, so the run is compared first."""
    from autoinstr.recording.block_reader import BlockReader

    is_of_run = has_fact = False
    try:
        blocks = BlockReader(file, max_bytes=SEARCHED_BYTES)
        for definition in blocks.read_texts(KIND_DEFINITIONS):
            is_of_run = is_of_run or facts.belongs_to_run(definition, run)
            has_fact = has_fact or is_fact(definition)
            if is_of_run and has_fact:
                return True
    except RecordingError:
        pass
    return False
