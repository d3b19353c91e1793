"""Test recordings cut off or damaged at any byte: intact parts are read, damage is reported,
nothing is invented, nothing crashes."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.errors import RecordingError
from autoinstr.recording import format as f
from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run
from tests.support.recordings import Call, make_recording
from tests.unit.test_recording_roundtrip import read_calls

CALLS: list[Call] = []
for _number in range(400):
    CALLS.append((_number % 3, "", "Model", 1000 * _number + 1, 1000 * _number + 900))
    CALLS.append(
        (
            _number % 3,
            f"layers.{_number % 5}",
            "Layer",
            1000 * _number + 10,
            None if _number > 396 else 1000 * _number + 800,
        )
    )


@cache
def whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return Path(make_recording(folder, CALLS)).read_bytes()


_LAST: list[tempfile.TemporaryDirectory[str]] = []


def read(data: bytes) -> Recording | None:
    """Read a recording, or return None if it is refused with a RecordingError of one line that
    names it. A recording can be read until the next call."""
    if _LAST:
        _LAST.pop().cleanup()
    _LAST.append(tempfile.TemporaryDirectory())
    folder = _LAST[0].name
    file = Path(folder) / f"damaged{f.SUFFIX}"
    file.write_bytes(data)
    run = open_run(folder)
    assert len(run.recordings) + len(run.problems) == 1
    if run.problems:
        assert str(file) in run.problems[0]
        assert "\n" not in run.problems[0]
        return None
    recording = run.recordings[0]
    list(recording.read_blocks())
    list(recording.read_attributes())
    recording.find_open_ranges()
    for told in (
        recording.roles,
        recording.rank,
        recording.host,
        recording.versions,
        recording.argv,
        recording.emitter,
        recording.is_complete,
    ):
        str(told)
    return recording


def check_cut(data: bytes) -> None:
    recording = read(data)
    if recording is None:
        assert len(data) < f.HEADER_BYTES
        return
    found = set(read_calls(recording))
    assert found <= set(CALLS), "invented"
    used = len(whole()) if len(data) >= len(whole()) else len(data)
    assert bool(recording.problems) == (used < _used())
    assert not recording.is_complete or not recording.problems


def _used() -> int:
    return int.from_bytes(whole()[8 * f.H_USED : 8 * f.H_USED + 8], "little")


@given(st.integers(0, 1 << 20))
def test_cut_off_anywhere(length: int) -> None:
    check_cut(whole()[: length % (len(whole()) + 1)])


def test_cut_off_at_every_word_of_the_first_blocks() -> None:
    for length in range(f.HEADER_BYTES, f.HEADER_BYTES + 4096, 8):
        check_cut(whole()[:length])


def test_the_longer_the_file_the_more_is_read() -> None:
    before = -1
    for length in range(f.HEADER_BYTES, len(whole()) + 1, 1024):
        recording = read(whole()[:length])
        assert recording is not None
        now = len(read_calls(recording))
        assert now >= before
        before = now
    assert before == len(CALLS)


@given(st.integers(0, 1 << 30), st.integers(1, 255))
def test_one_byte_damaged_anywhere(position: int, change: int) -> None:
    """Nothing crashes, undamaged blocks are read correctly, and ranges keep their order."""
    data = bytearray(whole())
    at = position % _used()
    data[at] ^= change
    recording = read(bytes(data))
    if recording is None:
        assert at < f.HEADER_BYTES
        return
    known = {call[1:3] for call in CALLS}
    last: dict[int, int] = {}
    for thread, words in recording.read_blocks():
        for start in range(0, len(words), 3):
            name = recording.names[words[start]]
            assert words[start + 1] <= words[start + 2]
            assert words[start + 1] >= last.get(thread, 0)
            last[thread] = words[start + 1]
            assert (name.path, name.cls) in known, "a name that nobody gave"
    # One byte can change one record (they carry no checksum of their own), and can give a block to
    # another thread; no more comes of it.
    invented = {call[1:] for call in read_calls(recording)} - {call[1:] for call in CALLS}
    assert len(invented) <= 1, invented


@pytest.mark.parametrize("seed", range(20))
def test_much_damaged(seed: int) -> None:
    choose = random.Random(seed)
    data = bytearray(whole())
    for _ in range(choose.choice((2, 20, 2000))):
        data[choose.randrange(8 if seed % 2 else f.HEADER_BYTES, len(data))] = choose.randrange(256)
    read(bytes(data))


@given(st.binary(max_size=20_000))
def test_noise_is_refused(data: bytes) -> None:
    assert read(data) is None


@given(st.binary(max_size=3000), st.integers(0, 1 << 20))
def test_noise_after_a_good_header(noise: bytes, used: int) -> None:
    header = bytearray(whole()[: f.HEADER_BYTES])
    header[8 * f.H_USED : 8 * f.H_USED + 8] = used.to_bytes(8, "little")
    recording = read(bytes(header) + noise)
    assert recording is not None
    assert read_calls(recording) == []


def test_the_file_of_a_later_version_is_refused() -> None:
    data = bytearray(whole())
    data[8 * f.H_VERSION] = f.VERSION + 1
    assert read(bytes(data)) is None


def test_a_good_recording_beside_a_bad_one(tmp_path: Path) -> None:
    make_recording(str(tmp_path), CALLS)
    (tmp_path / f"bad{f.SUFFIX}").write_bytes(b"bad")
    run = open_run(str(tmp_path))
    assert len(run.recordings) == len(run.problems) == 1
    with pytest.raises(RecordingError, match="too short"):
        Recording(str(tmp_path / f"bad{f.SUFFIX}"))
