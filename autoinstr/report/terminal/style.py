"""Colour on a terminal: lines with styled parts, and how they are written.

A style is the list of SGR parameters of an ANSI escape sequence ("1" is bold); "" is plain. Only
the 16 colours of the terminal's own palette are used: they suit dark and light backgrounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from autoinstr.report.options import TableOptions

HEADING = "1"  # bold
FOLDED = "2"  # dim
WARNING = "33"  # yellow
# The smallest share (0 to 1) of a table's time that gets a colour: red, magenta, cyan.
WEIGHT_STYLES = ((0.5, "31"), (0.2, "35"), (0.05, "36"))
WARNING_PREFIX = "! "


class StyledPart(NamedTuple):
    """The characters from `start` up to `end` of a line, and their style."""

    start: int
    end: int
    style: str


class StyledLine(str):
    """Hold one line of text and the styles of its parts.

    The text has no escape sequences, so it is measured, cut and compared like any string.
    `styled_parts` are in order and do not overlap. Methods of str return a plain string."""

    styled_parts: tuple[StyledPart, ...]

    def __new__(cls, line: str, styled_parts: Iterable[StyledPart] = ()) -> StyledLine:
        styled = super().__new__(cls, line)
        styled.styled_parts = tuple(styled_parts)
        return styled


def style_line(line: str, style: str) -> StyledLine:
    """Return the line with all of it in one style."""
    return StyledLine(line, [StyledPart(0, len(line), style)])


def format_warning(line: str) -> str:
    """Return the line of a warning, which `write_lines` colours."""
    return WARNING_PREFIX + line


def choose_weight_style(share: float) -> str:
    """Return the style of a figure that is this share (0 to 1) of all the time; "" for a small
    one."""
    return next((style for smallest, style in WEIGHT_STYLES if share >= smallest), "")


def write_lines(lines: Iterable[str], stream: TextIO, options: TableOptions) -> None:
    """Write lines of a table: printable in the encoding, and styled if the options ask for colour.

    An encoding without the characters that tables are made of gets ASCII only. A line that begins
    with WARNING_PREFIX is a warning."""
    try:
        "µ·…█─".encode(options.encoding)
        encoding = options.encoding
    except (UnicodeEncodeError, LookupError):
        encoding = ""
    for line in lines:
        if options.colour:
            parts = "".join(
                f"\x1b[{style}m{_make_printable(part, encoding)}\x1b[0m"
                if style
                else _make_printable(part, encoding)
                for part, style in _split_line(line)
            )
            stream.write(parts + "\n")
        else:
            stream.write(_make_printable(line.rstrip(), encoding).rstrip() + "\n")


def _make_printable(line: str, encoding: str) -> str:
    """Escape what the encoding lacks and what moves a cursor; "" is ASCII with substitutes."""
    if encoding:
        return text.escape_unprintable(line, encoding)
    return text.escape_unprintable(line.translate(text.ASCII_TABLE), "ascii")


def _split_line(line: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a line with their styles, without blanks at its end."""
    end = len(line.rstrip())
    styled_parts = getattr(line, "styled_parts", ())
    if not styled_parts and line.startswith(WARNING_PREFIX):
        styled_parts = (StyledPart(0, end, WARNING),)
    position = 0
    for part in styled_parts:
        start, stop = min(part.start, end), min(part.end, end)
        if position < start:
            yield line[position:start], ""
        if start < stop:
            yield line[start:stop], part.style
        position = max(position, stop)
    if position < end:
        yield line[position:end], ""
