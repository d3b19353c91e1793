"""Select the steps whose ranges the page has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from autoinstr.report.page.page_steps import PageSteps

MAX_RANGES_OF_PAGE = 100_000
MIN_STEPS = 8  # whatever number of ranges they have
MAX_STEPS = 400

# Which steps of one kind are selected, from the steps in order of duration.
PICKS: dict[str, Callable[[list[int]], int]] = {
    "slowest": lambda steps: steps[-1],
    "median": lambda steps: steps[(len(steps) - 1) // 2],
    "first": min,
}


class SelectedStep(NamedTuple):
    """A step whose ranges the page has.

    `reason` says why it was selected, for example "slowest prefill". It is "" for a step that is
    only one of the slowest.
    """

    number: int
    reason: str


def select_steps(
    steps: PageSteps,
    step_numbers: Sequence[int],
    range_count: int,
    profiled_steps: Collection[int] = (),
) -> list[SelectedStep]:
    """Select steps among `step_numbers`, the most informative first.

    These are the slowest, the median and the first step of each kind, then the slowest of all. If a
    profile has kernels of some steps, the median of these is one more of its kind.
    `range_count` is the number of ranges of the shown processes; it limits the number of steps.
    """
    timed_steps = [number for number in step_numbers if steps.durations[number] >= 0]
    if not timed_steps:
        return []
    ranges_per_step = max(1, range_count // max(1, len(steps.starts)))
    limit = min(MAX_STEPS, len(timed_steps), max(MIN_STEPS, MAX_RANGES_OF_PAGE // ranges_per_step))
    reasons = {timed_steps[-1]: "never ended"} if steps.never_ended else {}
    complete_steps = [number for number in timed_steps if number not in reasons]
    steps_of_kinds = [
        sorted(
            (number for number in complete_steps if steps.kind[number] == kind),
            key=steps.durations.__getitem__,
        )
        for kind in range(len(steps.kinds))
    ]
    has_several_kinds = sum(map(bool, steps_of_kinds)) > 1 or steps.source == "engine"
    for word, pick in PICKS.items():
        for kind_name, kind_steps in zip(steps.kinds, steps_of_kinds):
            if not kind_steps or kind_name == "idle":
                continue
            number = pick(kind_steps)
            if len(kind_steps) == 1:
                reasons[number] = f"the only {kind_name}"
            elif number in reasons:
                reasons[number] = f"{word} and {reasons[number]}"
            else:
                reasons[number] = f"{word} {kind_name}" if has_several_kinds else word
    for kind_name, kind_steps in zip(steps.kinds, steps_of_kinds):
        profiled = [number for number in kind_steps if number in profiled_steps]
        if profiled:
            number = PICKS["median"](profiled)
            word = f"profiled {kind_name}" if has_several_kinds else "profiled"
            reasons[number] = f"{word}, {reasons[number]}" if number in reasons else word
    for number in sorted(timed_steps, key=lambda number: -steps.durations[number]):
        if len(reasons) >= limit:
            break
        reasons.setdefault(number, "")
    return [SelectedStep(number, reason) for number, reason in reasons.items()]
