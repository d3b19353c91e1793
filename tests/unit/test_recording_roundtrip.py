"""Test that what is written is read back: ranges, names, threads and open ranges, in both byte
orders, with `stop` and `ring`."""

from __future__ import annotations

import os
import stat
import tempfile
from array import array
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.errors import RecordingError
from autoinstr.recording import format as f
from autoinstr.recording.reader import OpenRange, Recording
from autoinstr.recording.run import open_run
from autoinstr.recording.writer import RecordingWriter
from tests.support.recordings import Call, make_recording

Flat = tuple[int, str, str, int, Optional[int]]


def read_calls(recording: Recording) -> list[Flat]:
    """Return every call, closed and open, as make_recording got it, in order of start within a
    thread."""
    found: list[Flat] = []
    for thread, words in recording.read_blocks():
        for at in range(0, len(words), 3):
            name = recording.names[words[at]]
            found.append(
                (
                    recording.threads[thread].tid - 4000,
                    name.path,
                    name.cls,
                    words[at + 1],
                    words[at + 2],
                )
            )
    for one in recording.find_open_ranges():
        name = recording.names[one.name]
        found.append(
            (recording.threads[one.thread].tid - 4000, name.path, name.cls, one.start_ns, None)
        )
    return sorted(found, key=lambda call: (call[0], call[3]))


@st.composite
def threads_of_calls(draw: st.DrawFn) -> list[Call]:
    """Draw calls of up to 4 threads, interleaved.

    The starts of a thread are distinct and increase."""
    names = draw(
        st.lists(
            st.tuples(st.text(max_size=12), st.text(min_size=1, max_size=8)),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    calls: list[Call] = []
    clocks = [draw(st.integers(1, 1 << 50)) for _ in range(4)]
    for thread, name, step, length in draw(
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from(names),
                st.integers(1, 1 << 20),
                st.one_of(st.none(), st.integers(0, 1 << 30)),
            ),
            max_size=200,
        )
    ):
        clocks[thread] += step
        calls.append(
            (thread, *name, clocks[thread], None if length is None else clocks[thread] + length)
        )
    return calls


def ordered(calls: list[Call]) -> list[Flat]:
    return sorted(calls, key=lambda call: (call[0], call[3]))


@given(threads_of_calls())
def test_what_is_written_is_read(calls: list[Call]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(make_recording(folder, calls))
        assert read_calls(recording) == ordered(calls)
        assert recording.is_complete
        assert not recording.problems
        assert recording.dropped_count == 0


@given(threads_of_calls())
def test_the_other_byte_order(calls: list[Call]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(make_recording(folder, calls, header={"argv": ["ä", "b"], "roles": ["Worker"]}))
        foreign = _in_the_other_byte_order(file)
        recording = Recording(str(foreign))
        assert not recording.problems
        assert recording.argv == ["ä", "b"]
        assert recording.pid == 1000
        assert read_calls(recording) == ordered(calls)


def _in_the_other_byte_order(file: Path) -> Path:
    """Write the file as a machine of the other byte order would: words are swapped, text is not."""
    words = array("Q", file.read_bytes()[: file.stat().st_size // 8 * 8])
    swapped = array("Q", words)
    swapped.byteswap()
    at, used = f.HEADER_BYTES // 8, words[f.H_USED] // 8
    while at < used:
        end = at + words[at + f.B_BYTES] // 8
        if words[at + f.B_MARK] == f.make_block_mark(f.KIND_DEFINITIONS):
            position = at + f.BLOCK_HEADER_BYTES // 8
            while position < end and words[position]:
                count = -(-(words[position] & 0xFFFFFFFF) // 8)
                swapped[position + 1 : position + 1 + count] = words[
                    position + 1 : position + 1 + count
                ]
                position += 1 + count
        at = end
    foreign = file.with_name(f"foreign{f.SUFFIX}")
    foreign.write_bytes(swapped.tobytes())
    return foreign


def many(count: int, thread: int = 0) -> list[Call]:
    return [
        (thread, f"layers.{number % 7}", "Layer", 100 + 5 * number, 103 + 5 * number)
        for number in range(count)
    ]


def test_stop_keeps_the_first_and_counts_the_rest(tmp_path: Path) -> None:
    calls = many(100_000)
    file = make_recording(str(tmp_path), calls, max_bytes=1 << 20)
    recording = Recording(file)
    found = read_calls(recording)
    assert len(found) + recording.dropped_count == 100_000
    assert found == calls[: len(found)]
    assert len(found) > 30_000
    assert os.path.getsize(file) <= 1 << 20


@pytest.mark.parametrize("close", [True, False])
def test_ring_keeps_the_last_and_every_open_range(tmp_path: Path, close: bool) -> None:
    calls: list[Call] = [(0, "", "Model", 1, None), *many(100_000), (1, "other", "Thread", 7, 9)]
    file = make_recording(str(tmp_path), calls, max_bytes=1 << 20, full="ring", close=close)
    recording = Recording(file)
    found = [call for call in read_calls(recording) if call[0] == 0 and call[4] is not None]
    assert recording.dropped_count > 0
    # Complete segments go, so that what is left is the last part, without a hole, but for the block
    # in which a range is open.
    last = [call for call in found if call[3] > found[-1][3] - 5 * 20_000]
    assert last == calls[100_001 - len(last) : 100_001]
    assert [recording.names[one.name].path for one in recording.find_open_ranges()] == [""]
    assert len(found) + 2 + recording.dropped_count == len(calls)
    assert os.path.getsize(file) <= 1 << 20


def test_on_full_is_called_once(tmp_path: Path) -> None:
    writer = RecordingWriter(str(tmp_path / f"a{f.SUFFIX}"), {}, max_bytes=1 << 20)
    said: list[int] = []
    writer.on_full = lambda: said.append(1)
    thread = writer.new_thread(1, "one")
    count = 0
    for generation in range(200):
        next_record, words = writer.allocate_slots(thread, generation)
        try:
            while True:
                i, j, k = next_record()
                words[i], words[j], words[k] = 1, 1, 1
                count += 1
        except IndexError:
            pass
    assert said == [1]
    file = writer.path
    recorded = Recording(file).capacity
    assert writer.count_dropped() == Recording(file).dropped_count == count - recorded > 1000
    writer.close()
    assert Recording(file).dropped_count == count - recorded


def test_a_recording_of_a_killed_process_is_not_complete(tmp_path: Path) -> None:
    recording = Recording(
        make_recording(
            str(tmp_path), [(0, "", "Model", 5, None), (0, "a", "Leaf", 6, 7)], close=False
        )
    )
    assert not recording.is_complete
    assert recording.is_active
    assert recording.find_open_ranges() == [OpenRange(0, 1, 5)]
    assert [tuple(words) for _, words in recording.read_blocks()] == [(2, 6, 7)]


def test_open_ranges_are_outermost_first(tmp_path: Path) -> None:
    calls: list[Call] = [
        (0, "a.b", "Leaf", 1, 2),
        (0, "", "Model", 10, None),
        (0, "a", "Block", 11, None),
        (0, "a.b", "Leaf", 12, None),
    ]
    recording = Recording(make_recording(str(tmp_path), calls, close=False))
    assert [recording.names[one.name].path for one in recording.find_open_ranges()] == [
        "",
        "a",
        "a.b",
    ]


def test_the_last_definition_of_a_module_names_all_its_ranges(tmp_path: Path) -> None:
    file = str(tmp_path / f"a{f.SUFFIX}")
    writer = RecordingWriter(file, {}, max_bytes=1 << 20)
    fields = {"t": "name", "kind": "range", "domain": "Module", "module": 7, "cls": "Linear"}
    writer.define({**fields, "id": 1, "message": "Linear", "root": "Linear#1", "path": ""})
    writer.define({**fields, "id": 2, "message": "head:Linear", "root": "Net#1", "path": "head"})
    writer.define({"t": "from a later version", "of": ["the format"]})
    writer.close()
    names = Recording(file).names
    assert {name.path for name in names.values()} == {"head"}
    assert {name.message for name in names.values()} == {"head:Linear"}
    assert {name.root for name in names.values()} == {"Net#1"}


def test_the_file_is_private_and_never_follows_a_link(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        file = make_recording(str(tmp_path), [])
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        RecordingWriter(str(link), {}, max_bytes=1 << 20)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_run_directory(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none", "no such"),
        (tmp_path, "holds no"),
        (Path(make_recording(str(tmp_path / "run"), [])), "a file"),
    ):
        with pytest.raises(RecordingError, match=said) as error:
            open_run(str(path))
        assert str(path) in str(error.value)
        assert len(str(error.value).splitlines()) == 1
