"""The cards of the phases of training, and their columns of the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.training_steps import STEP_PHASES, read_training_steps
from autoinstr.report.page.serving_cards import build_histogram, summarize_durations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.alike import ProcessGroup
    from autoinstr.analysis.training_steps import TrainingStep
    from autoinstr.recording.run import Run
    from autoinstr.report.page.page_steps import PageSteps


def read_shown_steps(
    run: Run, groups: Sequence[ProcessGroup], steps: PageSteps
) -> list[TrainingStep]:
    """Return the phases of the page's steps, which are the busiest process's; none unless these are
    steps of a training loop."""
    if steps.source != "optimizer":
        return []
    index = groups[0].busiest.index
    return read_training_steps(run.recordings[index], process=index)


def build_training_cards(training_steps: Sequence[TrainingStep]) -> list[dict[str, Any]]:
    """Return a card for each phase that takes time in some step, as for a kind of step.

    The durations are those of the phase in each step."""
    cards = []
    for phase in STEP_PHASES:
        durations = sorted(step.get_phase_ns(phase) for step in training_steps)
        if any(durations):
            cards.append(
                {
                    "kind": phase,
                    "steps": len(durations),
                    **summarize_durations(durations),
                    "total": sum(durations),
                    **build_histogram(durations),
                }
            )
    return cards


def build_training_columns(
    training_steps: Sequence[TrainingStep], shown_steps: Sequence[int]
) -> dict[str, list[int]]:
    """Return the time of each phase in the shown steps, by "forward_ns" and so on."""
    if not training_steps:
        return {}
    columns = {
        f"{phase}_ns": [training_steps[number].get_phase_ns(phase) for number in shown_steps]
        for phase in STEP_PHASES
    }
    return {column: values for column, values in columns.items() if any(values)}
