"""Compare processes with the same module tree: for each module and phase, the mean time of a call.

The comparison is `{"members", "figures"}`. `members` are indices of processes. Each entry of
`figures` is one phase (`all`: all phases together) and has these columns:

- `rows`: rows of the tree.
- `min`, `median`, `max`: over the processes, in nanoseconds.
- `worst`, `least`: position in `members` of the highest and of the lowest mean.
- `means`: one mean for each member (null: no calls). Where a run has too many ranks, the list is
  null.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.alike import DomainGroup

MAX_MEANS = 400_000  # of single processes in one page: about 2.5 MB
_ALL_PHASES = "\x00all"  # the key of all phases together, because None is a phase

Key = tuple[int, Optional[str]]  # (row, phase)


def compare_processes(
    group: DomainGroup, phases: Sequence[str | None], row_count: int, max_means: int = MAX_MEANS
) -> dict[str, Any]:
    """Compare two or more processes in the first `row_count` rows of their tree.

    The heaviest rows also get the means of single processes, at most `max_means` in total. The
    caller does not compare a tree that was cut to its heaviest rows, because its row numbers differ
    from those of the group.
    """
    means: dict[Key, list[int | None]] = {}
    weights: dict[Key, int] = {}
    process_count = len(group.processes)
    for row in range(row_count):
        row_phases = [phase for phase in phases if (row, phase) in group.calls]
        if not row_phases:
            continue
        columns = [(group.calls[row, phase], group.total_ns[row, phase]) for phase in row_phases]
        if len(row_phases) > 1:
            for phase, (calls, total_ns) in zip(row_phases, columns):
                means[row, phase] = list(map(_divide, total_ns, calls))
                weights[row, phase] = sum(total_ns)
        all_calls = [sum(calls) for calls in zip(*(calls for calls, _ in columns))]
        all_ns = [sum(total_ns) for total_ns in zip(*(total_ns for _, total_ns in columns))]
        means[row, _ALL_PHASES] = list(map(_divide, all_ns, all_calls))
        weights[row, _ALL_PHASES] = sum(all_ns)
    by_weight = sorted(means, key=lambda key: -weights[key])
    keys_with_means = set(by_weight[: max_means // process_count])
    phases_with_rows = [phase for phase in phases if any(key[1] == phase for key in means)]
    return {
        "members": [process.index for process in group.processes],
        "figures": [
            _build_phase(
                phase, {key: means[key] for key in means if key[1] == phase}, keys_with_means
            )
            for phase in [_ALL_PHASES, *phases_with_rows]
        ],
    }


def _build_phase(
    phase: str | None, means: dict[Key, list[int | None]], keys_with_means: set[Key]
) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {
        key: [] for key in ("rows", "min", "median", "max", "worst", "least", "means")
    }
    for key, process_means in means.items():
        numbers = [mean for mean in process_means if mean is not None]
        if not numbers:  # a line of the device alone, such as AccumulateGrad
            continue
        low, high = min(numbers), max(numbers)
        columns["rows"].append(key[0])
        columns["min"].append(low)
        columns["median"].append(round(median(numbers)))
        columns["max"].append(high)
        columns["worst"].append(process_means.index(high))
        columns["least"].append(process_means.index(low))
        columns["means"].append(process_means if key in keys_with_means else None)
    return {
        "phase": None if phase == _ALL_PHASES else phase,
        "all": phase == _ALL_PHASES,
        **columns,
    }


def _divide(total_ns: int, calls: int) -> int | None:
    return round(total_ns / calls) if calls else None
