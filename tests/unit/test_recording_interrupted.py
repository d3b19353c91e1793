"""Test signal handlers that run in the middle of the writer, and call modules or raise.

No record of others is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoinstr.base.guard import contain_errors, is_from_signal_handler
from autoinstr.emitters.recorder import Recorder
from autoinstr.recording import format as f
from autoinstr.recording import mapping
from autoinstr.recording.block_reader import Block
from autoinstr.recording.reader import Recording
from autoinstr.recording.records import read_records
from autoinstr.recording.writer import RecordingWriter


class Interrupted(Exception):
    pass


@pytest.fixture
def made(tmp_path: Path) -> RecordingWriter:
    return RecordingWriter(str(tmp_path / "a.airec"), {"host": "h"}, max_bytes=16 << 20)


def name(number: int, message: str = "m") -> dict[str, Any]:
    return {"t": "name", "id": number, "kind": "range", "domain": "d", "message": message}


def fill(slots: Any, number: int, now: int) -> int:
    """Use up a block, and return the time after its last record."""
    take, words = slots
    while True:
        try:
            i, j, k = take()
        except IndexError:
            return now
        words[i], words[j], words[k] = number, now, now + 1
        now += 2


def once(monkeypatch: pytest.MonkeyPatch, where: Any, what: str, act: Any) -> None:
    """Call `act` within the next call of a function, after the function's own work."""
    original = getattr(where, what)
    done: list[int] = []

    def interrupted(*args: Any, **more: Any) -> Any:
        result = original(*args, **more)
        if not done:
            done.append(1)
            act()
        return result

    monkeypatch.setattr(where, what, interrupted)


def test_a_handler_that_records_while_the_file_grows_gets_other_bytes(
    made: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.define(name(1))
    main, handler = made.new_thread(1, "main"), made.new_thread(2, "handler")
    now = 10
    generation = 0
    while made._used_bytes + (1 << 17) < made._mapping.allocated:  # up to the next growth
        now = fill(made.allocate_slots(main, generation), 1, now)
        generation += 1

    def handle() -> None:
        nonlocal now
        for generation in range(40):  # more than the growth that it interrupts
            now = fill(made.allocate_slots(handler, generation), 1, now)

    once(monkeypatch, mapping, "_allocate", handle)
    for more in range(8):
        now = fill(made.allocate_slots(main, generation + more), 1, now)
    made.close()
    found = Recording(made.path)
    blocks = sorted(
        (block.offset, block.size)
        for kind in (f.KIND_RANGES, f.KIND_DEFINITIONS)
        for block in found._file.list_blocks(kind)
    )
    assert all(
        offset + size <= following for (offset, size), (following, _) in zip(blocks, blocks[1:])
    ), "blocks overlap"
    assert sum(len(words) // 3 for _, words in found.read_blocks()) == (now - 10) // 2
    assert found.is_complete


def test_a_handler_that_takes_a_block_while_its_thread_takes_one(
    made: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(lambda: made, lambda error: pytest.fail(str(error)))
    number = recorder.define("range", "d", "m")
    times = iter(range(100, 10_000))

    def call() -> None:
        words, i, j, k = recorder.next_record()
        words[i], words[j], words[k] = number, next(times), next(times)

    recorder.open()
    once(monkeypatch, made, "allocate_slots", lambda: [call() for _ in range(3)])
    for _ in range(100):
        call()
    recorder.close()
    found = Recording(made.path)
    assert [len(words) // 3 for _, words in found.read_blocks()] != []
    assert sum(len(words) // 3 for _, words in found.read_blocks()) == 103
    assert found.is_complete


@pytest.mark.parametrize("where", ["_write_text", "_allocate_text_block", "_write_block_header"])
def test_what_an_exception_keeps_from_being_written_hides_nothing_behind_it(
    made: RecordingWriter, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    made.define(name(1, "first"))
    made._definitions.position = (
        made._definitions.end if where != "_write_text" else made._definitions.position
    )

    def handle() -> None:
        raise Interrupted

    if where == "_write_text":  # before it has written anything
        original, done = made._write_text, []

        def cut(at: int, payload: bytes) -> None:
            if not done:
                done.append(1)
                raise Interrupted
            original(at, payload)

        monkeypatch.setattr(made, where, cut)
    else:
        once(monkeypatch, made, where, handle)
    with pytest.raises(Interrupted):
        made.define(name(2, "second"))
    made.define(name(3, "third"))
    thread = made.new_thread(1, "main")
    assert fill(made.allocate_slots(thread, 0), 3, 10) > 10
    made.close()
    found = Recording(made.path)
    assert {one.message for one in found.names.values()} == {"first", "third"}
    assert [set(words[::3]) for _, words in found.read_blocks()] == [{3}]
    assert found.is_complete


def test_definitions_behind_one_that_a_kill_cut_off_are_read(made: RecordingWriter) -> None:
    made.define(name(1, "first"))
    at = made._definitions.position
    made.define(name(2, "cut off"))
    made.define(name(3, "third"))
    made.words[at // 8] = 0  # its first word is stored last
    made.close()
    found = Recording(made.path)
    assert {one.message for one in found.names.values()} == {"first", "third"}
    assert not found.problems


def block(number: int, size: int = 1 << 10) -> Block:
    return Block(4096 + number * size, size, 0, number)


def sifted(
    *blocks: list[tuple[int, int, int]],
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]], str]:
    given = [
        (block(at), [word for record in records for word in record])
        for at, records in enumerate(blocks)
    ]
    closed, still_open, problems = [], [], ""
    for records in read_records(given, {1: None, 2: None}):
        closed += list(zip(records.closed[::3], records.closed[1::3], records.closed[2::3]))
        still_open += records.still_open
        problems += records.problem
    return closed, still_open, problems


def test_records_of_a_handler_lie_behind_the_record_that_was_taken_before() -> None:
    inner = [(2, 20, 28), (2, 21, 27)]
    closed, still_open, problem = sifted([(1, 10, 15), (1, 30, 50), *inner, (1, 31, 40)])
    assert closed == [(1, 10, 15), *inner, (1, 30, 50), (1, 31, 40)]
    assert (still_open, problem) == ([], "")


def test_they_may_go_on_in_the_next_block() -> None:
    closed, still_open, problem = sifted(
        [(1, 10, 15), (1, 30, 0), (2, 20, 22)], [(2, 23, 25), (1, 31, 40)], [(1, 60, 70)]
    )
    assert closed == [(1, 10, 15), (2, 20, 22), (2, 23, 25), (1, 31, 40), (1, 60, 70)]
    assert (still_open, problem) == ([(1, 30)], "")


@pytest.mark.parametrize(
    "records",
    [
        [
            (1, 10, 15),
            (1, 30, 50),
            (1, 5, 8),
        ],  # earlier than the record before the one that was overtaken
        [(1, 10, 15), (1, 30, 50), (2, 20, 35)],  # not over when that one begins
        [(1, 10, 15), (1, 30, 50), (2, 20, 0)],
        [(1, 10, 15), (3, 30, 50)],
        [(1, 10, 15), (1, 30, 29)],
    ],
)
def test_what_no_handler_can_have_done_is_damage(records: list[tuple[int, int, int]]) -> None:
    closed, _, problem = sifted([*records, (1, 100, 110)])
    assert "damaged" in problem
    assert (1, 100, 110) not in closed


def test_only_what_a_signal_handler_raised_is_the_programs() -> None:
    import signal

    def handler(number: int, frame: object) -> None:
        raise Interrupted

    def other(*arguments: object) -> None:
        handler(*arguments)  # type: ignore[arg-type]

    def ours() -> None:
        signal.raise_signal(signal.SIGUSR1)
        sum(range(10))

    def fails() -> None:
        raise ValueError("ours")

    before = signal.getsignal(signal.SIGUSR1)
    try:
        for one in (handler, other, lambda number, frame: handler(number, frame)):
            signal.signal(signal.SIGUSR1, one)
            with pytest.raises(Interrupted) as caught:
                ours()
            assert is_from_signal_handler(caught.value)
            with pytest.raises(Interrupted):
                contain_errors("here")(ours)()
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ValueError) as raised:
        fails()
    assert not is_from_signal_handler(raised.value)
    own: dict[str, Any] = {"__name__": "autoinstr.instrument.modules.callers"}
    exec(
        (
            "import sys\ndef looks_at_frames():\n    frame = sys._getframe(1)\n    raise "
            "ValueError(frame)"
        ),
        own,
    )
    assert contain_errors("here")(own["looks_at_frames"])() is None, (
        "code of ours that has its caller's frame is no handler"
    )
    assert contain_errors("here")(fails)() is None
    assert not is_from_signal_handler(ValueError())
