"""Test the closure that replaces a built-in target: one call of the original, the same result, a
range in every case, and attributes after the call."""

from __future__ import annotations

import inspect
import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import FunctionType
from typing import Any

import pytest

from autoinstr.agent.recording_file import create_recording
from autoinstr.emitters.recorder import Recorder
from autoinstr.instrument.functions import closure
from autoinstr.instrument.functions.ranges import FunctionRanges
from autoinstr.recording.reader import Recording
from autoinstr.targets.rows import Target


def work(x: int, *, y: int = 1) -> int:
    """What it does."""
    if x < 0:
        raise ValueError("negative")
    warnings.warn("odd", stacklevel=2)
    return x + y


class Service:
    def handle(self, items: list[int]) -> int:
        return len(items)


class Recorded:
    """Ranges that go to a real recording."""

    def __init__(self, folder: Path) -> None:
        self.failures: list[BaseException] = []
        self.recorder = Recorder(
            lambda: create_recording(str(folder), {}, max_bytes=1 << 20), self.failures.append
        )
        self.ranges = FunctionRanges(self.recorder, self.failures.append)
        self.ranges.active = True

    def wrap(self, function: Any, qualname: str = "work", attributes: tuple[str, ...] = ()) -> Any:
        target = Target(
            qualname, __name__, qualname, "sync", (), "", "", attributes, True, "vllm", "vllm", ""
        )
        return closure.make_call_closure(
            self.ranges, self.ranges.add_target(target), function, bool(attributes)
        )

    def read(self) -> tuple[list[tuple[str, bool]], list[dict[str, Any]]]:
        """(message, it has lasted) of each range in order, and all attributes."""
        assert self.recorder.writer is not None
        recording = Recording(self.recorder.writer.path)
        assert not recording.find_open_ranges() and not recording.problems and not self.failures
        names = recording.names
        found = [
            (names[w[at]].message, w[at + 2] >= w[at + 1])
            for _, w in recording.read_blocks()
            for at in range(0, len(w), 3)
        ]
        return found, [fields for *_, fields in recording.read_attributes()]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    made = Recorded(tmp_path)
    yield made
    made.recorder.close()


@pytest.mark.parametrize("attributes", [(), ("count",)])
def test_a_call_is_made_once_and_recorded(recorded: Recorded, attributes: tuple[str, ...]) -> None:
    ours = recorded.wrap(work, attributes=attributes)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert ours(1, y=2) == 3
    assert [Path(one.filename).name for one in said] == [
        Path(__file__).name
    ]  # the caller's line, not ours
    with pytest.raises(ValueError, match="negative"):
        ours(-1)
    assert recorded.read()[0] == [("work", True)] * 2


@pytest.mark.parametrize("late", [False, True])
def test_a_range_around_a_future_ends_when_that_is_done(recorded: Recorded, late: bool) -> None:
    future: Future[int] = Future()
    target = Target(
        "submit",
        __name__,
        "Service.submit",
        "future",
        (),
        "",
        "",
        ("count",),
        True,
        "vllm",
        "vllm",
        "",
    )
    ours: Any = closure.make_future_closure(
        recorded.ranges, recorded.ranges.add_target(target), lambda self, items: future
    )  # type: ignore[arg-type]
    if not late:
        future.set_result(1)
    assert ours(Service(), [1, 2]) is future
    assert recorded.recorder.writer is not None
    still_open = Recording(recorded.recorder.writer.path).find_open_ranges()
    assert len(still_open) == late
    if late:
        other = Thread(target=future.set_result, args=(1,))
        other.start()
        other.join(timeout=60)
    assert recorded.read() == ([("submit", True)], [{"count": 2}])


def test_what_is_no_future_ends_with_the_call(recorded: Recorded) -> None:
    target = Target(
        "submit", __name__, "Service.submit", "future", (), "", "", (), True, "vllm", "vllm", ""
    )
    ours: Any = closure.make_future_closure(
        recorded.ranges, recorded.ranges.add_target(target), work
    )  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        ours(-1)
    assert recorded.read() == ([("submit", True)], [])


def test_off_it_records_nothing(recorded: Recorded) -> None:
    ours = recorded.wrap(work)
    recorded.ranges.active = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ours(1) == 2
    assert recorded.recorder.writer is None


def test_getters_get_the_instance_and_the_rest_apart(recorded: Recorded) -> None:
    ours = recorded.wrap(Service.handle, "Service.handle", ("count",))
    assert ours(Service(), [1, 2, 3]) == 3
    assert recorded.read() == ([("Service.handle", True)], [{"count": 3}])


def test_a_getter_that_fails_costs_the_fields_only(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoinstr.targets.getters import GETTERS

    def bad(*_: Any) -> Any:
        raise RuntimeError("a getter")

    monkeypatch.setitem(GETTERS, "count", bad)
    assert recorded.wrap(Service.handle, "Service.handle", ("count",))(Service(), [1]) == 1
    assert recorded.read() == ([("Service.handle", True)], [])


def test_a_full_recording_and_a_block_that_ends_do_not_reach_the_call(recorded: Recorded) -> None:
    ours = recorded.wrap(Service.handle, "Service.handle")
    service = Service()
    assert [ours(service, [0] * n) for n in range(5)] * 10_000 == list(range(5)) * 10_000
    for _ in range(60_000):
        ours(service, [])
    assert recorded.recorder.writer is not None and not recorded.failures


def test_it_looks_like_the_original() -> None:
    class Off:
        active = False
        names: dict[int, int] = {}  # noqa: RUF012
        local = begin_record = finish = recorder = None

    ours: Any = closure.make_call_closure(Off(), 0, work, False)  # type: ignore[arg-type]
    assert type(ours) is FunctionType and inspect.signature(ours) == inspect.signature(work)
    assert (ours.__name__, ours.__qualname__, ours.__module__, ours.__doc__) == (
        "work",
        "work",
        __name__,
        "What it does.",
    )
    assert inspect.getsource(ours) == inspect.getsource(work)
    assert closure.is_target_closure(ours) and not closure.is_target_closure(work)
    assert (
        closure.can_replace(work)
        and not closure.can_replace(len)
        and not closure.can_replace(staticmethod(work))
        and not closure.can_replace(Service)
    )


def test_it_pickles_by_reference(monkeypatch: pytest.MonkeyPatch, recorded: Recorded) -> None:
    ours = recorded.wrap(work)
    monkeypatch.setitem(globals(), "work", ours)
    sent = pickle.dumps(ours)
    assert pickle.loads(sent) is ours
    monkeypatch.undo()
    assert pickle.loads(sent) is work  # where there is no agent


def test_after_a_fork_the_numbers_of_the_parent_are_forgotten(recorded: Recorded) -> None:
    ours = recorded.wrap(Service.handle, "Service.handle")
    ours(Service(), [])
    recorded.recorder.reset_in_child()
    recorded.ranges.reset_in_child()
    ours(Service(), [])
    assert recorded.read()[0] == [("Service.handle", True)]  # in a recording of its own
