"""Read the JSON of a torch.profiler trace in chunks.

Such files have gigabytes, and json.load takes several times their size.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from typing import IO, TYPE_CHECKING, Any, cast

from autoinstr.base.errors import AutoinstrError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

EVENTS = "traceEvents"
CHUNK = 1 << 20  # characters read at a time
LONGEST = 32 << 20  # characters of one value; a longer value means a damaged file or no trace
LONGEST_WORD = 32  # characters of a number or keyword, which a cut makes invalid
_BLANKS = re.compile(r"[ \t\r\n]*")
_SEPARATOR = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")
_DELIMITERS = tuple(" \t\r\n,:]}")
_GZIP = b"\x1f\x8b"


class BadTrace(AutoinstrError):
    """A file that is not a torch.profiler trace, or not a complete one."""


def read_members(
    path: str, *, exact_numbers: bool = False
) -> Generator[tuple[str, Any], None, None]:
    """Yield (key, value) of the JSON object in a file, plain or gzipped, in its order.

    `traceEvents` is yielded once for each event. With `exact_numbers` a number with a fraction is
    its text. Memory: a few megabytes. Raise BadTrace with the reason if the file is invalid.
    """
    try:
        with open(path, "rb") as raw:
            is_compressed = raw.peek(2)[:2] == _GZIP
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_compressed else raw
            # Kineto writes the names that a program used, even if they are not UTF-8.
            with io.TextIOWrapper(
                cast("Any", stream), encoding="utf-8-sig", errors="replace"
            ) as text:
                yield from _TraceText(path, text, exact_numbers).read_members()
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadTrace(f"{path}: its compression is damaged: {error}") from error
    except EOFError as error:
        raise BadTrace(
            f"{path}: is cut off: the compressed file has no end; copy or export it again"
        ) from error
    except OSError as error:
        raise BadTrace(f"{path}: cannot be read: {error.strerror or error}") from error


class _TraceText:
    """A window on the text of a trace, and the read position in it."""

    def __init__(self, path: str, stream: io.TextIOWrapper, exact_numbers: bool = False) -> None:
        self._path = path
        self._stream = stream
        self._text = ""
        self._position = 0
        self._is_at_end = False
        self._event_count = 0
        # not strict: names may contain control characters
        parse_float = str if exact_numbers else None
        self._decode = json.JSONDecoder(strict=False, parse_float=parse_float).raw_decode

    def read_members(self) -> Iterator[tuple[str, Any]]:
        """Yield (key, value) of the object; see the function of this name."""
        if self._peek() != "{":
            raise BadTrace(
                f"{self._path}: is not a torch.profiler trace: it does not begin with a JSON object"
            )
        self._position += 1
        has_events = False
        while self._peek() != "}":
            key = self._read_value()
            if not isinstance(key, str) or self._peek() != ":":
                raise self._make_damage_error("expected a key and a colon")
            self._position += 1
            if key == EVENTS and self._peek() == "[":
                has_events = True
                yield from self._read_events()
            else:
                yield key, self._read_value()
            self._skip(_SEPARATOR)
        if not has_events:
            raise BadTrace(f"{self._path}: is not a torch.profiler trace: it has no {EVENTS}")

    def _read_events(self) -> Iterator[tuple[str, Any]]:
        self._position += 1
        while self._peek() != "]":
            event = self._read_value()
            self._event_count += 1
            yield EVENTS, event
            self._skip(_SEPARATOR)
        self._position += 1

    def _peek(self) -> str:
        """Return the next character that is not blank. Raise BadTrace at the end of the file."""
        self._skip(_BLANKS)
        if self._position >= len(self._text):
            raise self._make_cut_off_error()
        return self._text[self._position]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        while True:
            match = cast("re.Match[str]", pattern.match(self._text, self._position))
            self._position = match.end()
            if self._position < len(self._text) or not self._read_chunk():
                return

    def _read_value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._position)
            except (json.JSONDecodeError, RecursionError) as error:
                problem = error
            else:
                # The window may end inside a number: "0." of "0.5" decodes as 0.
                if self._text[end : end + 1] in _DELIMITERS or not self._read_chunk():
                    self._position = end
                    return value
                continue
            if len(self._text) - self._position > LONGEST:
                raise self._make_damage_error(str(problem))
            if not self._read_chunk():
                raise self._make_end_error(problem)

    def _read_chunk(self) -> bool:
        """Read the next chunk and drop the text before the position. Return False at the end."""
        if self._is_at_end:
            return False
        chunk = self._stream.read(CHUNK)
        self._is_at_end = not chunk
        self._text, self._position = self._text[self._position :] + chunk, 0
        return not self._is_at_end

    def _make_end_error(self, problem: Exception) -> BadTrace:
        """Tell a file that was cut off inside a value from one with an invalid value."""
        position = getattr(problem, "pos", 0)
        if str(problem).startswith("Unterminated") or len(self._text) - position < LONGEST_WORD:
            return self._make_cut_off_error()
        return self._make_damage_error(str(problem))

    def _make_cut_off_error(self) -> BadTrace:
        return BadTrace(
            f"{self._path}: is cut off after {self._event_count:,} events: "
            "it was not written to its end; export it again"
        )

    def _make_damage_error(self, reason: str) -> BadTrace:
        return BadTrace(f"{self._path}: is damaged after {self._event_count:,} events: {reason}")
