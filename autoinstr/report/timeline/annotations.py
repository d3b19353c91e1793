"""Encoded attributes of ranges and marks, for the timeline writers.

Attributes are stored in the encoding of the output format. That takes a third of the memory that
Python objects take.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import RecordingError
from autoinstr.report.timeline.serving_marks import ServingMarks

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

# Start of a range or mark -> its encoded attributes, for one name on one thread.
AttributesByStart = dict[int, bytes]


class Annotations:
    """The attributes of one recording.

    `serving` holds what the attributes say about vLLM's steps and requests. Memory: the encoded
    attributes, which are about as long as in the recording, and 150 bytes for each range or mark
    that has attributes.
    """

    def __init__(
        self,
        recording: Recording,
        encode: Callable[[dict[str, Any]], bytes],
        separator: bytes = b"",
    ) -> None:
        """Read and encode all attributes of a recording.

        `separator` joins attributes that the program gave to one range at two moments. A read error
        ends the reading and is added to `recording.problems`.
        """
        self._by_thread: dict[int, dict[int, AttributesByStart]] = {}
        self._separator = separator
        self.serving = ServingMarks()
        names = recording.names
        try:
            for thread, name, start, fields in recording.read_attributes():
                if (
                    fields
                    and isinstance(thread, int)
                    and isinstance(name, int)
                    and isinstance(start, int)
                    and name in names
                ):
                    self.add(thread, name, start, encode(fields))
                    self.serving.add(thread, names[name], start, fields)
        except (RecordingError, OSError) as problem:
            recording.problems.append(str(problem))

    def add(self, thread: int, name: int, start: int, encoded: bytes) -> None:
        """Add encoded attributes to one range or mark."""
        by_start = self._by_thread.setdefault(thread, {}).setdefault(name, {})
        if start in by_start:
            encoded = by_start[start] + self._separator + encoded
        by_start[start] = encoded

    def get_thread(self, thread: int) -> dict[int, AttributesByStart]:
        """Return the encoded attributes of one thread, by name and start."""
        return self._by_thread.get(thread, {})


def encode_json_members(fields: dict[str, Any]) -> bytes:
    """Return the members of a JSON object, without its braces."""
    try:
        text = json.dumps(fields, allow_nan=False)
    # JSON has no infinity and no NaN, and a viewer rejects a file that contains them.
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
