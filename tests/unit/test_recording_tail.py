"""The tail of a recording: each record once, in a file and in a ring that overwrites."""

from __future__ import annotations

from pathlib import Path

from autoinstr.agent.metrics.histogram import Histogram, count_up_to
from autoinstr.agent.metrics.recording_tail import RecordingTail
from autoinstr.agent.metrics.snapshot import Snapshot, merge_encoded
from autoinstr.recording.writer import RecordingWriter


def make_writer(folder: Path, max_bytes: int = 8 << 20, full: str = "stop") -> RecordingWriter:
    path = str(folder / "host-1-00000000.airec")
    return RecordingWriter(path, {"host": "host"}, max_bytes=max_bytes, full=full)


class Thread:
    """Writes records as a thread of a program does."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer, self.number, self.blocks = writer, writer.new_thread(1, "t"), 0
        self.slots = writer.allocate_slots(self.number, 0)

    def begin(self, name: int, start: int) -> tuple[memoryview[int], int]:
        next_record, words = self.slots
        try:
            i, j, k = next_record()
        except IndexError:
            self.blocks += 1
            self.slots = self.writer.allocate_slots(self.number, self.blocks)
            next_record, words = self.slots
            i, j, k = next_record()
        words[i], words[j] = name, start
        return words, k

    def record(self, name: int, start: int, end: int) -> None:
        words, k = self.begin(name, start)
        words[k] = end


def read(tail: RecordingTail) -> list[int]:
    return [word for words in tail.read() for word in words]


def test_each_record_is_read_once_when_it_has_ended(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    tail, thread = RecordingTail(writer), Thread(writer)
    words, k = thread.begin(1, 10)
    thread.record(2, 11, 12)
    assert read(tail) == [2, 11, 12]
    thread.record(3, 13, 14)
    assert read(tail) == [3, 13, 14]
    words[k] = 20
    assert read(tail) == [1, 10, 20]
    assert read(tail) == []


def test_many_blocks_of_two_threads(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    tail, threads = RecordingTail(writer), [Thread(writer), Thread(writer)]
    starts = []
    for round_number in range(6):
        for n in range(1_000):
            threads[n % 2].record(1, 1 + 10_000 * round_number + n, 20_000_000)
        starts += read(tail)[1::3]
    assert sorted(starts) == sorted(1 + 10_000 * r + n for r in range(6) for n in range(1_000))
    assert tail.missed_count == 0


def test_a_ring_that_is_read_in_time_loses_nothing(tmp_path: Path) -> None:
    writer = make_writer(tmp_path, 1 << 20, "ring")
    tail, thread = RecordingTail(writer), Thread(writer)
    total = 0
    for _ in range(100):
        for n in range(2_000):
            thread.record(1, 1 + n, 2 + n)
        total += len(read(tail)) // 3
    assert (total, tail.missed_count) == (200_000, 0)
    assert writer.count_dropped() > 0, "the ring has overwritten what was read"


def test_what_a_ring_overwrites_unread_is_counted(tmp_path: Path) -> None:
    writer = make_writer(tmp_path, 1 << 20, "ring")
    tail, thread = RecordingTail(writer), Thread(writer)
    for n in range(20_000):
        thread.record(1, 1 + n, 2 + n)
    first = len(read(tail)) // 3
    for n in range(200_000):
        thread.record(1, 1 + n, 2 + n)
    later = len(read(tail)) // 3
    assert first == 20_000
    assert later < 200_000 <= later + tail.missed_count < 240_000


def test_snapshots_of_processes_add_up_and_damage_is_left_out() -> None:
    contents = []
    for durations in ((1_000, 2_000), (70_000,)):
        histogram, snapshot = Histogram(), Snapshot()
        for duration in durations:
            histogram.add(duration)
        snapshot.add_histogram("step", ("rank 0", "train"), histogram)
        snapshot.add_number("ranges", ("rank 0",), len(durations))
        contents.append(snapshot.encode())
    total = merge_encoded([*contents, b"{", b"[]", b'{"histograms": 3}'])
    histogram = total.histograms["step"]["rank 0", "train"]
    assert (histogram.count, histogram.sum_ns) == (3, 73_000)
    assert [count_up_to(histogram, digits) for digits in (10, 11, 17)] == [1, 2, 3]
    assert total.numbers["ranges"] == {("rank 0",): 3}
