"""Processes that are built alike, side by side: for each module and phase the lowest, middle and
highest mean of a call over them.

`{"members", "figures"}`: `members` are indices of processes; each entry of `figures` is one phase
(`null`: all together) with `rows` and, beside these, `min`, `median`, `max` in nanoseconds, `worst`
(place in `members` of the highest), `least` (of the lowest) and `means`: one for each member (null:
no calls), or null in place of the whole list where a run has too many ranks for all."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.alike import Alike

MOST_FIGURES = 400_000  # of single processes in one page: about 2.5 MB

Key = tuple[int, Optional[str]]  # row, phase


def comparison(
    group: Alike, phases: Sequence[str | None], rows: int, room: int = MOST_FIGURES
) -> dict[str, Any]:
    """Two alike processes or more, of whose lines the page shows the first `rows`; single means for
    the heaviest rows, at most `room` figures. (Where a tree was cut to its heaviest lines, the
    lines are not those of the page: then nothing is compared.)"""
    mean: dict[Key, list[int | None]] = {}
    weight: dict[Key, int] = {}
    count = len(group.processes)
    for at in range(rows):
        there = [phase for phase in phases if (at, phase) in group.calls]
        if not there:
            continue
        columns = [(group.calls[at, phase], group.total_ns[at, phase]) for phase in there]
        for phase, (calls, total) in zip(there, columns) if len(there) > 1 else ():
            mean[at, phase] = [_mean(calls[one], total[one]) for one in range(count)]
            weight[at, phase] = sum(total)
        sums = [
            (sum(calls[one] for calls, _ in columns), sum(total[one] for _, total in columns))
            for one in range(count)
        ]
        mean[at, _ALL] = [_mean(*one) for one in sums]
        weight[at, _ALL] = sum(total for _, total in sums)
    whole = set(sorted(mean, key=lambda key: -weight[key])[: room // count])
    present = [_ALL, *(phase for phase in phases if any(key[1] == phase for key in mean))]
    return {
        "members": [process.index for process in group.processes],
        "figures": [
            _of_phase(phase, {key: mean[key] for key in mean if key[1] == phase}, whole)
            for phase in present
        ],
    }


_ALL = "\x00all"  # in place of a phase: None is one


def _of_phase(
    phase: str | None, mean: dict[Key, list[int | None]], whole: set[Key]
) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {
        key: [] for key in ("rows", "min", "median", "max", "worst", "least", "means")
    }
    for key, means in mean.items():
        known = [one for one in means if one is not None]
        low, high = min(known), max(known)
        entry = (
            key[0],
            low,
            round(median(known)),
            high,
            means.index(high),
            means.index(low),
            means if key in whole else None,
        )
        for column, value in zip(columns.values(), entry):
            column.append(value)
    return {"phase": None if phase == _ALL else phase, "all": phase == _ALL, **columns}


def _mean(calls: int, total: int) -> int | None:
    return round(total / calls) if calls else None
