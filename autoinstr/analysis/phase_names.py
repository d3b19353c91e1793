"""The names of phases, and the option `--phase` that selects one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import RecordingError, UsageError
from autoinstr.config.suggestions import find_nearest
from autoinstr.targets.step_parts import (
    BACKWARD,
    DATA,
    DENOISE,
    ENCODE,
    FORWARD,
    OPTIMIZER,
    RECOMPUTE,
    RL_PHASES,
    VAE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoinstr.recording.run import Run

NO_PHASE = "none"  # the name for ranges without a phase
# The phases of training, of diffusers pipelines, and of reinforcement learning.
LOOP_PHASES = (
    DATA, FORWARD, BACKWARD, RECOMPUTE, OPTIMIZER, ENCODE, DENOISE, VAE, *RL_PHASES,
)  # fmt: skip
# Before them, the phases of vLLM's steps, of drafting in them, and of `generate` of transformers. A
# run may have other ones, from ranges of the user.
PHASES = ("prefill", "decode", "mixed", "idle", "draft", *LOOP_PHASES, NO_PHASE)


def is_in_phase(phase: str | None, selected: str | None) -> bool:
    """Return whether a range of this phase is selected; None as `selected` is all phases."""
    return selected is None or (phase or NO_PHASE) == selected


def describe_missing_phase(selected: str, phases: Iterable[str | None]) -> str:
    """Return the remark that no range has the selected phase, with the phases that there are."""
    names = ", ".join(dict.fromkeys(phase or NO_PHASE for phase in phases)) or "no ranges"
    return f"no range has the phase {selected!a}; this run has: {names}"


def list_missing_phase(selected: str | None, phases: Iterable[str | None]) -> list[str]:
    """Return the remark of `describe_missing_phase` in a list, which is empty if a range is
    selected."""
    if selected is None or selected in [phase or NO_PHASE for phase in phases]:
        return []
    return [describe_missing_phase(selected, phases)]


def check_phase(phase: str, runs: Sequence[Run]) -> None:
    """Raise UsageError for a phase that is not in PHASES and that no range of these runs has."""
    if phase in PHASES:
        return
    known_phases = dict.fromkeys(PHASES)
    for recording in (recording for run in runs for recording in run.recordings):
        try:
            for _, _, _, fields in recording.read_attributes():
                if fields.get("phase") == phase:
                    return
                if isinstance(fields.get("phase"), str):
                    known_phases[fields["phase"]] = None
        except (RecordingError, OSError):
            continue  # the pass that reads the ranges reports it
    nearest = find_nearest(phase, known_phases)
    if nearest:
        hint = f"did you mean {nearest!a}?"
    else:
        hint = f"there are: {', '.join(ascii(name)[1:-1] for name in known_phases)}"
    raise UsageError(f"--phase {phase!a}: neither vLLM nor this recording has such a phase; {hint}")
