"""Check the records of a thread: which are valid, their order by start, and which are open."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from autoinstr.recording.block_reader import Block


class Records(NamedTuple):
    """The records of one block, or of several blocks that belong together.

    `closed` has name, start and end of each closed range in order of start. `still_open` has
    (name, start) of each open one. `problem` is "" if nothing is wrong."""

    thread: int
    closed: list[int]
    still_open: list[tuple[int, int]]
    problem: str


def read_records(
    blocks: Iterable[tuple[Block, list[int]]], names: Mapping[int, object]
) -> Iterator[Records]:
    """Yield the records in blocks, which come by thread and in the order of writing.

    A thread takes a record before its range begins. A signal handler that runs in between may call
    modules. Its records are behind the taken one, but they begin and end before that range begins.
    If they fill the block, they continue in the next one."""
    latest_starts: dict[int, int] = {}
    pending: tuple[Block, list[int]] | None = None
    for block, words in blocks:
        if (
            pending is not None
            and pending[0].thread == block.thread
            and words
            and 0 < words[1] < max(pending[1][1::3])
        ):
            pending[1].extend(words)
            continue
        if pending is not None:
            yield _check_records(*pending, names, latest_starts)
        pending = block, words
    if pending is not None:
        yield _check_records(*pending, names, latest_starts)


def _check_records(
    block: Block, words: list[int], names: Mapping[int, object], latest_starts: dict[int, int]
) -> Records:
    """Return the valid records. `latest_starts` has the latest start of each thread so far."""
    latest = latest_starts.get(block.thread, 0)
    if _are_all_closed(words, names, latest):
        latest_starts[block.thread] = words[-2]
        return Records(block.thread, words, [], "")
    closed: list[tuple[int, int, int]] = []
    still_open: list[tuple[int, int]] = []
    problem = ""
    second_latest = latest  # the start before the latest one
    for position in range(0, len(words) - 2, 3):
        name, start, end = words[position : position + 3]
        if not name or not start:
            continue  # a record that a thread took, but whose range did not begin
        is_of_handler = second_latest <= start <= end <= latest
        if name not in names or (start < latest and not is_of_handler) or (end and end < start):
            problem = (
                f"the record {position // 3} of the block at byte {block.offset} is damaged;"
                " the rest of that block is left out"
            )
            break
        if start >= latest:
            second_latest, latest = latest, start
        if end:
            closed.append((start, end, name))
        else:
            still_open.append((name, start))
    latest_starts[block.thread] = latest
    closed.sort(key=operator.itemgetter(0))
    return Records(
        block.thread,
        [word for start, end, name in closed for word in (name, start, end)],
        still_open,
        problem,
    )


def _are_all_closed(words: list[int], names: Mapping[int, object], latest: int) -> bool:
    """Return whether every record of a block is closed and valid.

    This is by far the most common case, so it is decided without a Python loop."""
    numbers, starts, ends = set(words[::3]), words[1::3], words[2::3]
    return bool(
        starts
        and numbers <= names.keys()
        and starts[0] >= latest
        and all(map(operator.le, starts, starts[1:]))
        and all(map(operator.le, starts, ends))
        and starts[0]
    )
