"""Several runs in one directory, one after another, and ranks that run side by side."""

from __future__ import annotations

from typing import Any

import pytest

from autoinstr.analysis.several_runs import count_successive_runs
from tests.support.report_fakes import Event, FakeRecording
from tests.unit.test_findings import analysed


def recording(run: str | None, begin: int, end: int | None, **fields: Any) -> FakeRecording:
    """Return the recording of a run; without `end` its process was killed."""
    pairs = [(begin, begin), (end or begin, end or begin)]
    header = {} if run is None else {"run": run}
    return FakeRecording(
        [Event(10, 20)], header=header, clock_pairs=pairs, is_complete=end is not None, **fields
    )


ONE = {
    "one process": [("a", 1, 9)],
    "processes of one run in turn": [("a", 1, 2), ("a", 3, 4)],
    "ranks side by side": [("a", 1, 9), ("b", 2, 8), ("c", 3, 9)],
    "one of them killed": [("a", 1, None), ("b", 2, 8)],
    "of an older version": [(None, 1, 2), (None, 3, 4)],
}


@pytest.mark.parametrize("which", ONE)
def test_one_run_is_one(which: str) -> None:
    assert count_successive_runs([recording(*one) for one in ONE[which]]) == 1


SEVERAL = {
    "in turn": ([("a", 1, 2), ("b", 3, 4), ("c", 5, 6)], 3),
    "in any order": ([("b", 3, 4), ("a", 1, 2)], 2),
    "a process of the first was killed": ([("a", 1, None), ("a", 1, 2), ("b", 3, None)], 2),
    "of two ranks each": ([("a", 1, 4), ("b", 2, 5), ("c", 6, 8), ("d", 7, 9)], 2),
}


@pytest.mark.parametrize("which", SEVERAL)
def test_several_are_counted(which: str) -> None:
    recordings, count = SEVERAL[which]
    assert count_successive_runs([recording(*one) for one in recordings]) == count


def test_clocks_of_two_hosts_are_not_compared() -> None:
    assert (
        count_successive_runs([recording("a", 1, 2, host="one"), recording("b", 3, 4, host="two")])
        == 1
    )


def test_what_a_damaged_header_holds_does_not_matter() -> None:
    assert count_successive_runs([FakeRecording([Event(1, 2)], header={"run": ["a"]})]) == 1


def test_it_is_the_first_finding() -> None:
    found = analysed(recording("a", 1, 2, pid=1), recording("b", 3, 4, pid=2))[2]
    assert found[0].kind == "runs" and "recordings of 2 runs, one after another" in found[0].summary
