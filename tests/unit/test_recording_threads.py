"""Test what a recording does with threads that have ended, without torch."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.emitters.recorder import Recorder
from autoinstr.recording.reader import Recording
from autoinstr.recording.writer import RecordingWriter
from tests.support.recorded import ranges


def record(
    path: Path, full: str, threads: list[int], names: int = 3
) -> tuple[Recording, Recorder, int]:
    """Run one thread after the other, each with so many ranges; return the recording."""

    def fail(error: BaseException) -> None:
        raise error

    recorder = Recorder(lambda: RecordingWriter(str(path), {}, max_bytes=1 << 20, full=full), fail)

    def run(thread: int, count: int) -> None:
        for number in range(count):
            name = recorder.define("range", "Module", f"{number % names}")
            words, i, j, k = recorder.next_record()
            words[i], words[j], words[k] = (
                name,
                1000 * thread + number + 1,
                1000 * thread + number + 2,
            )

    recorder.open()
    for thread, count in enumerate(threads):
        worker = threading.Thread(target=run, args=(thread, count))
        worker.start()
        worker.join()
    recorder.close()
    recording = Recording(str(path))
    return recording, recorder, sum(threads)


def test_a_ring_keeps_the_last_ranges_of_many_threads(tmp_path: Path) -> None:
    recording, _, calls = record(tmp_path / "r.airec", "ring", [12] * 2500)
    kept = ranges(recording)
    assert len(kept) + recording.dropped_count == calls
    assert len(kept) > 5000
    assert max(one.start for one in kept) > 1000 * 2499
    assert min(one.start for one in kept) > 1000 * 1000
    assert len(recording.threads) < 1200, "the number of a thread that is gone is used again"
    assert {one.thread for one in kept} <= recording.threads.keys()


def test_a_full_recording_keeps_nothing_for_ended_threads(tmp_path: Path) -> None:
    recording, recorder, calls = record(tmp_path / "r.airec", "stop", [12] * 2000)
    assert len(ranges(recording)) + recording.dropped_count == calls
    assert recorder.writer is not None
    assert len(recorder.writer._threads.current_blocks) < 20


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["stop", "ring"]), st.lists(st.integers(0, 300), max_size=300))
def test_recorded_and_dropped_are_all(
    tmp_path_factory: pytest.TempPathFactory, full: str, threads: list[int]
) -> None:
    path = tmp_path_factory.mktemp("threads") / "r.airec"
    recording, _, calls = record(path, full, threads)
    assert len(ranges(recording)) + recording.dropped_count == calls
    assert not recording.problems
