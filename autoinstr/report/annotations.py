"""The attributes of ranges and marks, for timelines.

They are kept as the text they had in the recording: a third of what they take as objects. Memory: the attributes of one recording, and
about 150 bytes for each range or mark that has some.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autoinstr.errors import RecordingError

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

# start -> the fields as a JSON object, of one name on one thread
Fields = dict[int, str]


class Annotations:
    """All attributes of one recording."""

    def __init__(self, recording: Recording) -> None:
        """Read them; what breaks off is named in the recording's problems."""
        self._found: dict[int, dict[int, Fields]] = {}
        try:
            for thread, name, start, fields in recording.attributes():
                if fields and name in recording.names:
                    mine = self._found.setdefault(thread, {}).setdefault(name, {})
                    mine[start] = _text({**json.loads(mine[start]), **fields} if start in mine else fields)
        except (RecordingError, OSError) as problem:
            recording.problems.append(str(problem))

    def of(self, thread: int) -> dict[int, Fields]:
        """Those of one thread, by name and start."""
        return self._found.get(thread, {})


def _text(fields: dict[str, Any]) -> str:
    try:
        return json.dumps(fields, allow_nan=False)
    except ValueError:  # JSON has no word for infinity and for what is no number, and a viewer refuses the whole file
        return json.dumps({key: value if _is_json(value) else str(value) for key, value in fields.items()})


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def loaded(text: str) -> dict[str, Any]:
    """The fields again."""
    fields: dict[str, Any] = json.loads(text)
    return fields
