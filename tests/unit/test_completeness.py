"""Processes that a run should have but lacks."""

from __future__ import annotations

from typing import Any

import pytest

from autoinstr.analysis.completeness import describe_missing_processes
from tests.support.report_fakes import FakeRecording


def workers(ranks: list[int], world_size: int, **more: Any) -> list[FakeRecording]:
    return [FakeRecording([], pid=rank, rank=rank, world_size=world_size, **more) for rank in ranks]


@pytest.mark.parametrize(
    ("recordings", "lines"),
    [
        (workers([0, 1, 2, 3], 4), []),
        (workers([0, 1, 3], 4), ["rank 2 of 4 is missing: this run has no recording of it"]),
        (
            workers([3, 8], 10),
            ["ranks 0-2, 4-7, 9 of 10 are missing: this run has no recording of them"],
        ),
        ([*workers([0, 1], 2), *workers([0, 1], 2)], []),  # two engines, each a world of its own
        (
            [*workers([0, 1], 2), *workers([1], 3)],
            ["ranks 0, 2 of 3 are missing: this run has no recording of them"],
        ),
        ([FakeRecording([])], []),
        (
            [FakeRecording([], roles=["EngineCore"])],
            ["there is no Worker beside EngineCore: what its workers did is missing"],
        ),
        (
            workers([0], 1, roles=["Worker"]),
            ["there is no EngineCore beside Worker: what scheduled its steps is missing"],
        ),
        (workers([0], 1, roles=["EngineCore", "Worker"]), []),
        ([FakeRecording([], rank="0", world_size=3)], []),  # a damaged header
    ],
)
def test_a_line_for_each_gap(recordings: list[FakeRecording], lines: list[str]) -> None:
    assert describe_missing_processes(recordings) == lines  # type: ignore[arg-type]


def test_a_world_of_a_billion_is_no_list() -> None:
    assert describe_missing_processes(workers([0], 10**9)) == [  # type: ignore[arg-type]
        "ranks 1-999999999 of 1000000000 are missing: this run has no recording of them"
    ]
    assert len(describe_missing_processes(workers(list(range(0, 1000, 2)), 1000))[0]) < 100  # type: ignore[arg-type]
