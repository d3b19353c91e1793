"""Small sound recordings, out of which the entries make damaged ones."""

from __future__ import annotations

import functools
import struct
import tempfile
from pathlib import Path
from unittest import mock

from autoinstr.recording import format as f
from tests.support.recordings import make_recording

SECOND = 10**9
WALL = 1_795_389_621 * SECOND
# Wall clock and perf_counter at a recording's opening, and at its end ten seconds later.
PAIRS = (WALL, SECOND, WALL + 10 * SECOND, 11 * SECOND)
PAIR_WORDS = (f.H_START_WALL, f.H_START_CLOCK, f.H_END_WALL, f.H_END_CLOCK)
CALLS = [
    *(
        (thread, path, "L", SECOND + 100 * at + 1, SECOND + 100 * at + 90)
        for thread in (0, 1)
        for at, path in enumerate(("", "a.0", "b"))
    ),
    (1, "b", "L", SECOND + 900, None),
]


@functools.lru_cache(maxsize=64)
def sound(host: str = "one", boot: str = "boot of one", rank: int = 0, pid: int = 1000) -> bytes:
    """A whole recording of two threads. It differs from the writer's usual ones in that its texts
    lie in small blocks."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(f, "TEXT_BLOCK_BYTES", 1024):
        header = {"host": host, "boot": boot, "rank": rank, "world_size": 2}
        data = Path(make_recording(folder, CALLS, header=header, pid=pid)).read_bytes()
    used = struct.unpack_from("=Q", data, 8 * f.H_USED)[0]
    return with_clock(data[:used], PAIRS)


def with_clock(data: bytes, pairs: tuple[int, ...]) -> bytes:
    """The same with other clock pairs: four words, in the order of PAIRS."""
    changed = bytearray(data)
    for word, value in zip(PAIR_WORDS, pairs):
        struct.pack_into("=Q", changed, 8 * word, value)
    return bytes(changed)
