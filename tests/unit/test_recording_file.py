"""Test a program that closes the writer's descriptor, reuses its number, or removes the file.

The program's files stay untouched, and the recording is complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from autoinstr.agent.recording_file import create_in_memory
from autoinstr.base import system
from autoinstr.recording.ownfile import OwnFile
from autoinstr.recording.reader import Recording
from autoinstr.recording.writer import RecordingWriter


@pytest.fixture
def made(tmp_path: Path) -> RecordingWriter:
    folder = tmp_path / "run"
    folder.mkdir()
    return RecordingWriter(str(folder / "a.airec"), {"host": "h"}, max_bytes=16 << 20)


def fill(made: RecordingWriter, blocks: int, now: int = 10) -> int:
    """Use up a number of blocks of the thread, and return the number of records."""
    count = 0
    for generation in range(blocks):
        take, words = made.allocate_slots(0, generation)
        while True:
            try:
                i, j, k = take()
            except IndexError:
                break
            words[i], words[j], words[k] = 1, now + 2 * count, now + 2 * count + 1
            count += 1
    return count


def start(made: RecordingWriter) -> None:
    made.define({"t": "name", "id": 1, "kind": "range", "domain": "d", "message": "m"})
    made.new_thread(1, "main")


def records(path: str) -> int:
    found = Recording(path)
    assert found.is_complete
    return sum(len(words) // 3 for _, words in found.read_blocks())


def take_number(made: RecordingWriter, file: Path) -> int:
    """Open a file of the program with the number of the writer's descriptor, and return it."""
    number = made._file._fd
    other = os.open(file, os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    os.close(other)
    return number


def test_a_file_that_has_our_number_is_not_written(made: RecordingWriter, tmp_path: Path) -> None:
    start(made)
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"content" * 100_000)
    number = take_number(made, theirs)
    count = fill(made, 12)
    made.close()
    assert theirs.read_bytes() == b"content" * 100_000
    os.close(number)  # theirs was not closed: OSError if it was
    assert records(made.path) == count


def test_it_is_not_shortened_at_the_end_either(made: RecordingWriter, tmp_path: Path) -> None:
    start(made)
    count = fill(made, 1)
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"content" * 100_000)
    number = take_number(made, theirs)
    made.close()
    os.close(number)
    assert theirs.read_bytes() == b"content" * 100_000
    assert records(made.path) == count


def test_another_file_in_the_recordings_place_is_not_written(made: RecordingWriter) -> None:
    start(made)
    os.close(made._file._fd)
    os.unlink(made.path)
    Path(made.path).write_bytes(b"theirs")
    with pytest.raises(OSError, match="another file"):
        fill(made, 12)
    made.close()
    assert Path(made.path).read_bytes() == b"theirs"


def test_a_child_does_not_close_what_is_not_ours(made: RecordingWriter, tmp_path: Path) -> None:
    number = take_number(made, tmp_path / "theirs")
    made.abandon_in_child()
    os.close(number)


@pytest.mark.parametrize("at_end", [False, True])
def test_a_removed_recording_is_written_again(
    made: RecordingWriter, tmp_path: Path, at_end: bool
) -> None:
    said: list[Any] = []

    def make_folder() -> str:
        said.append(1)
        (tmp_path / "again").mkdir(exist_ok=True)
        return str(tmp_path / "again")

    made.on_removed = make_folder
    start(made)
    count = fill(made, 6)
    shutil.rmtree(tmp_path / "run")
    if not at_end:
        count += fill(made, 9, now=10 + 2 * count)
        made.define({"t": "name", "id": 2, "kind": "range", "domain": "d", "message": "later"})
    made.close()
    assert said == [1]
    assert made.path == str(tmp_path / "again" / "a.airec")
    assert records(made.path) == count
    assert os.stat(made.path).st_mode & 0o777 == 0o600
    assert at_end or 2 in Recording(made.path).names


def test_no_folder_can_be_made_again(made: RecordingWriter, tmp_path: Path) -> None:
    def make_folder() -> str:
        raise PermissionError("no")

    made.on_removed = make_folder
    start(made)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(PermissionError):
        fill(made, 1)
    made.close()  # and at the end it is no error


def test_a_file_that_cannot_be_made_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(system.calls, "fchmod", fails)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no"):
        OwnFile(str(tmp_path / "a"), 0o600)
    assert not list(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_recording_in_memory_takes_nothing_of_a_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's /dev/shm has 64 MB, which vLLM and NCCL need."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    entries = sorted(os.listdir("/dev/shm"))
    before = {os.readlink(f"/proc/self/fd/{number}") for number in list_descriptors()}
    writer = create_in_memory({"host": "h"})
    assert fill(writer, 3) > 1000
    (file,) = {os.readlink(f"/proc/self/fd/{number}") for number in list_descriptors()} - before
    assert file.startswith("/memfd:autoinstr")
    assert (sorted(os.listdir("/dev/shm")), list(tmp_path.iterdir())) == (entries, [])
    writer.close()
    assert file not in {os.readlink(f"/proc/self/fd/{number}") for number in list_descriptors()}


def list_descriptors() -> list[str]:
    """Return the numbers of the open descriptors, without that of the listing."""
    return [
        number
        for number in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{number}")
    ]
