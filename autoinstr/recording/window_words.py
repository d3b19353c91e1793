"""The words of `autoinstr ctl window` in the control file: which steps each process records.

The command writes them (`cli/window/`), and the processes follow them (`agent/window/`). They are
`window ` and a JSON object. The agent imports this file when it first reads such words."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

WORD = b"window"  # the beginning of the control file while a window is open
# The command touches the control file every HEARTBEAT_S. A process ends a window whose file was not
# touched for LEASE_S: the command was killed.
HEARTBEAT_S, LEASE_S = 1.0, 15.0
MAX_BYTES = 4 << 20


class WindowWords(NamedTuple):
    """One window.

    `number` identifies it. `steps` is how many steps are recorded; None: until `ends` come.
    `profile`: the profiler of torch or torch_npu runs in the window. `starts` maps the file of a
    process's recording to the number of steps after which it begins; None: the process runs no
    steps, and records until the window is over. A process that is not listed skips `skip` steps.
    `ends` maps in the same way to the number of steps after which the window ends. A process ends
    it by itself when nobody has touched the control file for `lease_s` seconds."""

    number: int
    skip: int
    steps: int | None
    profile: bool
    starts: dict[str, int | None]
    ends: dict[str, int] | None = None
    lease_s: float = LEASE_S


def encode_words(words: WindowWords) -> str:
    """Return the content of the control file."""
    return f"{WORD.decode()} {json.dumps(words._asdict(), separators=(',', ':'))}"


def parse_words(content: bytes) -> WindowWords | None:
    """Return the window in the control file; None if it is not understood."""
    try:
        fields = json.loads(content[len(WORD) :].decode())
        words = WindowWords(**{name: fields[name] for name in WindowWords._fields})
    except (ValueError, TypeError, KeyError):
        return None
    is_valid = (
        _is_count(words.number)
        and _is_count(words.skip)
        and (words.steps is None or _is_count(words.steps))
        and isinstance(words.lease_s, (int, float))
        and isinstance(words.starts, dict)
        and all(start is None or _is_count(start) for start in words.starts.values())
        and (words.ends is None or isinstance(words.ends, dict))
        and all(map(_is_count, (words.ends or {}).values()))
    )
    return words if is_valid else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 1 << 62
