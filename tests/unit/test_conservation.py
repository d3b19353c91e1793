"""Test that a recording loses nothing without a count: what is recorded and what is dropped is all
that was called, for ranges, marks and attributes, of any number of names and threads."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.base.module_name import ModuleName
from autoinstr.emitters.recorder import Recorder
from autoinstr.instrument.functions.named_ranges import NamedRanges
from autoinstr.recording.reader import Recording
from autoinstr.recording.writer import RecordingWriter

# kind of the work, how often a thread does it, and the length of its names
WORK = st.lists(
    st.tuples(
        st.sampled_from(["new modules", "one module", "ranges", "new ranges", "marks"]),
        st.integers(1, 600),
        st.sampled_from([10, 1000, 6000]),
    ),
    min_size=1,
    max_size=4,
)


class Counted:
    """A recorder, and how many ranges, marks and attributes it was given."""

    def __init__(self, full: str) -> None:
        self.folder = tempfile.mkdtemp()
        self.said: list[str] = []
        self.failures: list[BaseException] = []
        self.recorder = Recorder(lambda: self._open(full), self.failures.append)
        self.ranges = NamedRanges(self.recorder, self.failures.append)
        self.given = self.given_attributes = 0
        self._lock = threading.Lock()
        self._number = 0

    def _open(self, full: str) -> RecordingWriter:
        file = os.path.join(self.folder, "a.airec")
        writer = RecordingWriter(file, {}, max_bytes=1 << 20, full=full)
        writer.on_full = lambda: self.said.append("full")
        return writer

    def number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def call_module(self, name: Any) -> None:
        number, words, i, j, k = self.recorder.begin_module(name)
        words[i], words[j] = number, time.perf_counter_ns()
        words[k] = time.perf_counter_ns()

    def work(self, kind: str, count: int, length: int) -> None:
        attributes = 0
        one = None
        for _ in range(count):
            if kind.endswith(("module", "modules")):
                if one is None or kind == "new modules":
                    number = self.number()
                    text = f"{number}".ljust(length, "x")
                    one = self.recorder.name_module(ModuleName(number, "Net#1", text, "Net", 1))
                self.call_module(one)
            elif kind.endswith("ranges"):
                text = str(self.number() if kind == "new ranges" else 0).ljust(length, "x")
                running = self.ranges.begin_named("user", text)
                self.ranges.end_named(running, {"text": text})
                attributes += 1
            else:
                self.ranges.mark("user", f"mark {count}", {"text": "y" * length})
                attributes += 1
        with self._lock:
            self.given += count
            self.given_attributes += attributes

    def read(self) -> tuple[int, int]:
        """Return the sums of recorded and dropped ranges, and of their attributes."""
        recording = Recording(os.path.join(self.folder, "a.airec"))
        assert not recording.problems
        assert not self.failures
        recorded = sum(len(words) // 3 for _, words in recording.read_blocks())
        attributes = sum(1 for _ in recording.read_attributes())
        has_loss = recording.dropped_count or recording.dropped_attributes_count
        return (
            (
                recorded + recording.dropped_count,
                attributes + recording.dropped_attributes_count,
            )
            if has_loss or not self.said
            else (0, 0)
        )


@pytest.mark.parametrize("full", ["stop", "ring"])
@given(threads=st.lists(WORK, min_size=1, max_size=5), is_closed=st.booleans())
@settings(max_examples=15)
def test_recorded_and_dropped_are_all(full: str, threads: list[Any], is_closed: bool) -> None:
    counted = Counted(full)

    def run(works: list[Any]) -> None:
        for work in works:
            counted.work(*work)

    started = [threading.Thread(target=run, args=(works,)) for works in threads]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if is_closed:  # else as after SIGKILL
        counted.recorder.close()
    assert counted.read() == (counted.given, counted.given_attributes)
    shutil.rmtree(counted.folder)


@pytest.mark.parametrize("full", ["stop", "ring"])
@pytest.mark.parametrize("kind", ["new modules", "new ranges", "marks", "one module"])
def test_a_loss_is_said_once(full: str, kind: str) -> None:
    counted = Counted(full)
    for _ in range(3):
        counted.work(kind, 600 if kind != "one module" else 60_000, 3000)
    assert counted.said == ["full"]
    assert counted.read() == (counted.given, counted.given_attributes)
    counted.recorder.close()
    counted.work("one module", 300, 10)
    counted.work("marks", 300, 10)
    assert counted.read() == (counted.given, counted.given_attributes)
    shutil.rmtree(counted.folder)


@pytest.mark.parametrize("full", ["stop", "ring"])
def test_many_threads_that_end(full: str) -> None:
    counted = Counted(full)
    for _ in range(4000):
        thread = threading.Thread(target=counted.work, args=("one module", 3, 10))
        thread.start()
        thread.join()
    assert counted.said == ["full"]
    assert counted.read() == (12_000, 0)
    shutil.rmtree(counted.folder)
