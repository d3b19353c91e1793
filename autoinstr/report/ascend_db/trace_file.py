"""Reads the JSON of a torch.profiler trace piece by piece: such files have gigabytes, and json.load
takes several times their size."""

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
CHUNK = 1 << 20  # letters read at a time
LONGEST = 32 << 20  # letters of one value; beyond, the file is no trace, or damaged
LONGEST_WORD = 32  # letters of a number or a word, which a cut makes wrong
_BLANKS = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")
_DELIMITERS = tuple(" \t\r\n,:]}")
_GZIP = b"\x1f\x8b"


class BadTrace(AutoinstrError):
    """A file that is no trace of torch.profiler, or not a whole one."""


def members(path: str) -> Generator[tuple[str, Any], None, None]:
    """(key, value) of the object in a file, plain or gzipped, in its order; `traceEvents` comes
    once for each event. Memory: a few megabytes. BadTrace says what is wrong with the file."""
    try:
        with open(path, "rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
            # Kineto writes what a program called things, whether that is UTF-8 or not.
            with io.TextIOWrapper(
                cast("Any", stream), encoding="utf-8-sig", errors="replace"
            ) as text:
                yield from _Text(path, text).members()
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadTrace(f"{path}: its compression is damaged: {error}") from error
    except EOFError as error:
        raise BadTrace(
            f"{path}: is cut off: the compressed file has no end; copy or export it again"
        ) from error
    except OSError as error:
        raise BadTrace(f"{path}: cannot be read: {error.strerror or error}") from error


class _Text:
    """A window on the text, and the position in it."""

    def __init__(self, path: str, stream: io.TextIOWrapper) -> None:
        self._path = path
        self._stream = stream
        self._text = ""
        self._at = 0
        self._ended = False
        self._events = 0
        self._decode = json.JSONDecoder(
            strict=False
        ).raw_decode  # names may have control characters in them

    def members(self) -> Iterator[tuple[str, Any]]:
        if self._next() != "{":
            raise BadTrace(
                f"{self._path}: is no trace of torch.profiler: it does not begin with an object of JSON"
            )
        self._at += 1
        found = False
        while self._next() != "}":
            key = self._value()
            if not isinstance(key, str) or self._next() != ":":
                raise self._damaged("a key and a colon were expected")
            self._at += 1
            if key == EVENTS and self._next() == "[":
                found = True
                yield from self._elements()
            else:
                yield key, self._value()
            self._skip(_BETWEEN)
        if not found:
            raise BadTrace(f"{self._path}: is no trace of torch.profiler: it has no {EVENTS}")

    def _elements(self) -> Iterator[tuple[str, Any]]:
        self._at += 1
        while self._next() != "]":
            value = self._value()
            self._events += 1
            yield EVENTS, value
            self._skip(_BETWEEN)
        self._at += 1

    def _next(self) -> str:
        """The next letter that is no blank; BadTrace at the end of the file."""
        self._skip(_BLANKS)
        if self._at >= len(self._text):
            raise self._cut_off()
        return self._text[self._at]

    def _skip(self, blanks: re.Pattern[str]) -> None:
        while True:
            self._at = cast("re.Match[str]", blanks.match(self._text, self._at)).end()
            if self._at < len(self._text) or not self._more():
                return

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                problem = error
            else:
                # Of a number that the window cuts, there is more: "0." of "0.5" reads as 0.
                if self._text[end : end + 1] in _DELIMITERS or not self._more():
                    self._at = end
                    return value
                continue
            if len(self._text) - self._at > LONGEST:
                raise self._damaged(str(problem))
            if not self._more():
                raise self._unfinished(problem)

    def _more(self) -> bool:
        """Read on, and forget what was read before."""
        if self._ended:
            return False
        chunk = self._stream.read(CHUNK)
        self._ended = not chunk
        self._text, self._at = self._text[self._at :] + chunk, 0
        return not self._ended

    def _unfinished(self, problem: Exception) -> BadTrace:
        """The file ended in a value: it was cut off there, or the value was wrong before."""
        at = getattr(problem, "pos", 0)
        if str(problem).startswith("Unterminated") or len(self._text) - at < LONGEST_WORD:
            return self._cut_off()
        return self._damaged(str(problem))

    def _cut_off(self) -> BadTrace:
        return BadTrace(
            f"{self._path}: is cut off after {self._events:,} events: it was not written to its end; export it again"
        )

    def _damaged(self, why: str) -> BadTrace:
        return BadTrace(f"{self._path}: is damaged after {self._events:,} events: {why}")
