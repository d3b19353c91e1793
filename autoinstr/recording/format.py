"""The numbers of the recording format, version 1 (docs/internals/recording-format.md).

A recording is a header page followed by blocks. All words are unsigned 64-bit integers in the
writer's byte order, which the byte-order mark identifies."""

from __future__ import annotations

MAGIC = int.from_bytes(b"AIREC\x00\r\n", "little")
BYTE_ORDER_MARK = 0x0102030405060708
VERSION = 1
SUFFIX = ".airec"
CONTROL_FILE = "control"

HEADER_BYTES = 4096
# Header words, by index.
H_MAGIC, H_BYTE_ORDER, H_VERSION, H_HEADER_BYTES, H_PID = 0, 1, 2, 3, 4
H_START_WALL, H_START_CLOCK, H_STATE, H_DROPPED, H_END_WALL, H_END_CLOCK, H_USED = (
    5,
    6,
    7,
    8,
    9,
    10,
    11,
)
H_DROPPED_ATTRIBUTES = 12
# For `autoinstr ctl window`: the steps that this process has ended, and its last window. Words 16
# and 17 are the numbers of steps after which the window begins and ends.
H_STEPS, H_WINDOW, H_WINDOW_STATE, H_WINDOW_FIRST, H_WINDOW_END = 13, 14, 15, 16, 17
WINDOW_WAITING, WINDOW_OPEN, WINDOW_OVER, WINDOW_SAVED = 1, 2, 3, 4
# Start and end of a dropped range go to a word that is never read, and its name to one of
# DROP_WORDS others. Each of them that is not 0 counts as a dropped range, besides H_DROPPED.
H_NOWHERE, H_DROPS, DROP_WORDS = 256, 264, 240

STATE_OFF, STATE_ON, STATE_CLOSED = 0, 1, 2

BLOCK_HEADER_BYTES = 64
BLOCK_MARK = int.from_bytes(b"AIBLOK\x00\x00", "little")  # the two top bytes hold the kind
BLOCK_KIND_SHIFT = 48
KIND_RANGES, KIND_DEFINITIONS, KIND_ATTRIBUTES = 1, 2, 3
# Block words, by index.
B_MARK, B_BYTES, B_THREAD, B_SEQUENCE = 0, 1, 2, 3

RECORD_WORDS = 3  # name, start, end
RECORD_BYTES = 8 * RECORD_WORDS

# The blocks of a thread grow, because most threads make few calls.
RANGE_BLOCK_BYTES = (1024, 8192, 65536)
TEXT_BLOCK_BYTES = 65536  # of definitions and of attributes
SEGMENT_BYTES = 4 << 20  # the file grows by at most this
FIRST_SEGMENT_BYTES = 256 << 10


def make_block_mark(kind: int) -> int:
    """Return the first word of a block of this kind."""
    return BLOCK_MARK | kind << BLOCK_KIND_SHIFT


def count_records(block_bytes: int) -> int:
    """Return how many records fit into a range block of this length."""
    return (block_bytes - BLOCK_HEADER_BYTES) // RECORD_BYTES
