"""Where a window without a count of steps begins and ends, by a clock that the test moves."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.agent.window import follower
from autoinstr.agent.window.follower import UNALIGNED_S, WindowFollower
from autoinstr.cli.window.plan import AHEAD_S
from autoinstr.recording.window_words import WORD, WindowWords

FILE = "rank-0.airec"


class Rank:
    """A process of steps, whose session is a stand-in: it has a step count and a range switch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.steps = SimpleNamespace(
            total=5, serves_vllm=False, optimizers=SimpleNamespace(exist=True)
        )
        self.switched: list[tuple[int, bool]] = []
        self.window: Any = None
        session = SimpleNamespace(
            steps=self.steps,
            roles=(),
            recorder=SimpleNamespace(
                writer=SimpleNamespace(path=f"/run/{FILE}"), store_window=lambda *_: None
            ),
            range_switch=SimpleNamespace(
                lock=contextlib.nullcontext(),
                begin_window=self._begin,
                end_window=lambda _reason: None,
                write_window=lambda on: self.switched.append((self.steps.total, on)),
            ),
        )
        monkeypatch.setattr(follower.clocks, "monotonic", lambda: self.now_s, raising=False)
        self.follower = WindowFollower(session)  # type: ignore[arg-type]

    def _begin(self, window: Any, _reason: str) -> None:
        self.window = window
        window.restart()

    def read(self, ends: dict[str, int] | None = None) -> None:
        words = WindowWords(1, 0, None, False, {FILE: 8}, ends)._asdict()
        self.follower.follow(WORD + b" " + json.dumps(words).encode())

    def run_steps(self, count: int, seconds: float) -> None:
        for _ in range(count):
            self.now_s += seconds
            self.steps.total += 1
            self.window.count_step()
            self.follower.check()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.follower.check()


@pytest.fixture
def rank(monkeypatch: pytest.MonkeyPatch) -> Rank:
    return Rank(monkeypatch)


def test_slow_steps_end_where_the_command_says(rank: Rank) -> None:
    """A busy machine takes longer for them than the command expected."""
    rank.read()
    rank.run_steps(3, UNALIGNED_S - 0.1)
    rank.read(ends={FILE: 12})
    rank.run_steps(6, UNALIGNED_S - 0.1)
    assert [entry for entry in rank.switched if entry[1]] == [(8, True)]
    assert rank.switched[-1] == (12, False)


def test_a_process_without_steps_begins_and_ends_by_the_clock(rank: Rank) -> None:
    rank.read()
    rank.wait(UNALIGNED_S - 0.1)
    assert rank.switched == [(5, False)]
    rank.wait(0.2)
    assert rank.switched[1:] == [(5, True)]
    rank.read(ends={FILE: 12})
    rank.wait(UNALIGNED_S + 0.1)
    assert rank.switched[2:] == [(5, False)]


def test_the_command_plans_for_less_time_than_a_process_waits() -> None:
    assert AHEAD_S < UNALIGNED_S
