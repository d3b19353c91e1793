"""The attributes of ranges and marks, for timelines.

They are kept as the format writes them, which takes a third of what they take as objects. Memory:
the attributes of one recording as the format has them (about as long as the recording has them),
and 150 bytes for each range or mark that has some."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import RecordingError
from autoinstr.report.timeline.serving_marks import Served

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

Fields = dict[int, bytes]  # start -> the attributes as they are written, of one name on one thread


class Annotations:
    """All attributes of one recording; `served` is what they say of steps and requests."""

    def __init__(
        self, recording: Recording, encode: Callable[[dict[str, Any]], bytes], between: bytes = b""
    ) -> None:
        """Read them; `between` joins what was said at two times. What breaks off is named in the
        recording's problems."""
        self._found: dict[int, dict[int, Fields]] = {}
        self._between = between
        self.served = Served()
        names = recording.names
        try:
            for thread, name, start, fields in recording.attributes():
                if (
                    fields
                    and isinstance(thread, int)
                    and isinstance(name, int)
                    and isinstance(start, int)
                    and name in names
                ):
                    self.add(thread, name, start, encode(fields))
                    self.served.take(thread, names[name], start, fields)
        except (RecordingError, OSError) as problem:
            recording.problems.append(str(problem))

    def add(self, thread: int, name: int, start: int, text: bytes) -> None:
        """Add to what is written of one range or mark."""
        mine = self._found.setdefault(thread, {}).setdefault(name, {})
        mine[start] = mine[start] + self._between + text if start in mine else text

    def of(self, thread: int) -> dict[int, Fields]:
        """Those of one thread, by name and start."""
        return self._found.get(thread, {})


def members(fields: dict[str, Any]) -> bytes:
    """The members of a JSON object, without its braces."""
    try:
        text = json.dumps(fields, allow_nan=False)
    # JSON has no word for infinity and for what is no number, and a viewer refuses the whole file
    except ValueError:
        text = json.dumps(
            {key: value if _is_json(value) else str(value) for key, value in fields.items()}
        )
    return text[1:-1].encode()


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
