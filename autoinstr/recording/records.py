"""The records of one thread: which of them are sound, in which order they began, and which never
ended."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from autoinstr.recording.blocks import Block


class Records(NamedTuple):
    """Of one block, or of several that belong together: name, start and end of closed ranges in
    order of start, (name, start) of open ones, and what is wrong ("" where nothing is)."""

    thread: int
    closed: list[int]
    still_open: list[tuple[int, int]]
    problem: str


def records_of(
    blocks: Iterable[tuple[Block, list[int]]], names: Mapping[int, object]
) -> Iterator[Records]:
    """The records in blocks, a thread's blocks one after the other in the order in which they were
    written.

    A record is taken before it begins. A signal handler that calls modules may run in between: its
    records lie behind that one, began earlier and are over before it begins. Where they fill the
    block, they go on in the next."""
    earliest: dict[int, int] = {}
    held: tuple[Block, list[int]] | None = None
    for block, words in blocks:
        if (
            held is not None
            and held[0].thread == block.thread
            and words
            and 0 < words[1] < max(held[1][1::3])
        ):
            held[1].extend(words)
            continue
        if held is not None:
            yield _sifted(*held, names, earliest)
        held = block, words
    if held is not None:
        yield _sifted(*held, names, earliest)


def _sifted(
    block: Block, words: list[int], names: Mapping[int, object], starts: dict[int, int]
) -> Records:
    """`starts` has when the latest record of each thread began."""
    earliest = starts.get(block.thread, 0)
    if _is_whole(words, names, earliest):
        starts[block.thread] = words[-2]
        return Records(block.thread, words, [], "")
    found: list[tuple[int, int, int]] = []
    still_open: list[tuple[int, int]] = []
    problem = ""
    before = earliest  # when the record before the one that began latest did
    for position in range(0, len(words) - 2, 3):
        name, start, end = words[position : position + 3]
        if not name or not start:
            continue  # a record that was given out and not begun
        overtaken = before <= start <= end <= earliest
        if name not in names or (start < earliest and not overtaken) or (end and end < start):
            problem = f"the record {position // 3} of the block at byte {block.offset} is damaged; the rest of that block is left out"
            break
        if start >= earliest:
            before, earliest = earliest, start
        if end:
            found.append((start, end, name))
        else:
            still_open.append((name, start))
    starts[block.thread] = earliest
    found.sort(key=operator.itemgetter(0))
    return Records(
        block.thread,
        [word for start, end, name in found for word in (name, start, end)],
        still_open,
        problem,
    )


def _is_whole(words: list[int], names: Mapping[int, object], earliest: int) -> bool:
    """Every record of a block is closed and sound: by far the commonest case, decided without a
    loop of Python's."""
    numbers, starts, ends = set(words[::3]), words[1::3], words[2::3]
    return bool(
        starts
        and numbers <= names.keys()
        and starts[0] >= earliest
        and all(map(operator.le, starts, starts[1:]))
        and all(map(operator.le, starts, ends))
        and starts[0]
    )
