"""Test that each call goes under the place and class that its module has at that call, and that
nothing outlives its owner because of the agent (tests/programs/lifetimes.py)."""

from __future__ import annotations

import sys
from collections import Counter
from typing import NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import ranges, the_recording


class Outcome(NamedTuple):
    printed: str
    recording: Recording
    calls: Counter[tuple[str, str]]  # by path and class


def run(python: Python, number: int) -> Outcome:
    out = python.cwd / "out"
    done = python.run(
        PROGRAMS / "lifetimes.py",
        str(number),
        env={"AUTOINSTR_OUT": str(out), "AUTOINSTR_TARGETS": "none"},
        timeout=600,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    recording = the_recording(out)
    calls = Counter(
        (one.path, one.cls) for one in ranges(recording) if not one.root.startswith("Model#")
    )
    return Outcome(done.stdout.strip(), recording, calls)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(Python(sys.executable, tmp_path_factory.mktemp("lifetimes")), 20)


def test_a_call_goes_under_the_place_at_that_call(outcome: Outcome) -> None:
    calls = outcome.calls
    assert (calls["body.0.inner", "Linear"], calls["body.1.inner", "Linear"]) == (4, 12)
    assert (calls["body.0.inner", "Tanh"], calls["body.1.inner", "Tanh"]) == (12, 4)
    assert (calls["head", "Linear"], calls["head.0", "Linear"]) == (12, 4)
    assert calls["head", "Sequential"] == 4


def test_a_call_goes_under_the_class_at_that_call(outcome: Outcome) -> None:
    assert (outcome.calls["", "Before"], outcome.calls["", "After"]) == (4, 2)


def test_classes_and_what_they_hold_go_with_their_modules(outcome: Outcome) -> None:
    assert int(outcome.printed) <= 3


def test_names_of_dead_models_are_used_again(outcome: Outcome) -> None:
    found = ranges(outcome.recording)
    copies = [one for one in found if one.root.startswith("Model#") and not one.path]
    assert len(copies) == 20
    assert len({one.root for one in copies}) <= 3
    assert len(outcome.recording.names) < 60


def test_ranges_of_all_threads_are_kept(outcome: Outcome) -> None:
    assert len({one.thread for one in ranges(outcome.recording)}) == 21


@pytest.mark.long
def test_a_soak_of_copies_and_threads(python: Python) -> None:
    outcome = run(python, 3000)
    assert len(outcome.recording.names) < 60
    assert len({one.thread for one in ranges(outcome.recording)}) == 3001
