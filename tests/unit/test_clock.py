"""One time axis for all processes of a run."""

from __future__ import annotations

from typing import Any

from autoinstr.analysis.clock import Axis, compute_base_ns
from tests.support.report_fakes import FakeRecording

SECOND = 10**9
WALL = 1_795_389_621 * SECOND


def axis(*pairs: tuple[str, int, int]) -> Axis:
    recordings: Any = [
        FakeRecording([], host=host, clock_pairs=[(wall, perf), (0, 0)])
        for host, wall, perf in pairs
    ]
    return Axis(recordings)


def test_the_base_is_what_kineto_printed() -> None:
    # torch 2.13.0 wrote baseTimeNanoseconds 1790857026000000000 at 1795389621.10 s since 1970.
    assert compute_base_ns(WALL + 100_000_000) == 1_790_857_026 * SECOND


def test_processes_of_one_machine_share_the_monotonic_clock() -> None:
    one = axis(("a", WALL, 500), ("a", WALL + 2 * SECOND + 3_000, 500 + 2 * SECOND))
    assert one.offsets[0] == one.offsets[1] == WALL - 500 - one.base_ns


def test_machines_are_told_apart_by_name_and_by_boot_time() -> None:
    one = axis(("a", WALL, 500), ("b", WALL + 7, 500), ("a", WALL + 9, 60 * SECOND))
    assert [offset + one.base_ns for offset in one.offsets] == [
        WALL - 500,
        WALL + 7 - 500,
        WALL + 9 - 60 * SECOND,
    ]


def test_a_recording_without_a_clock_pair_is_laid_beside_the_others_and_named() -> None:
    one = axis(("a", WALL, 500), ("a", 0, 0))
    assert one.offsets[1] == one.offsets[0]
    assert one.unaligned == [1]
    assert axis(("a", 0, 0)).offsets == [0]


def test_one_boot_is_one_clock_whatever_the_wall_clock_did_and_the_containers_are_called() -> None:
    recordings: Any = [
        FakeRecording([], host=host, clock_pairs=[pair, (0, 0)])
        for host, pair in (("pod-a", (WALL, 500)), ("pod-b", (WALL + 3600 * SECOND, 900)))
    ]
    for recording in recordings:
        recording.header = {"boot": "0f1e"}
    one = Axis(recordings)
    assert one.offsets[0] == one.offsets[1] == WALL - 500 - one.base_ns
    recordings[1].header = {"boot": "2d3c"}
    assert Axis(recordings).offsets[1] + one.base_ns == WALL + 3600 * SECOND - 900
