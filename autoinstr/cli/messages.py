"""What the command line says to a person: remarks beside a result, and tables. Errors are
exceptions (cli/__init__.py)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


def say(line: str) -> None:
    """One line on standard error, where there is one."""
    if sys.stderr is not None:  # print() would take None for standard output
        print(f"autoinstr: {line}", file=sys.stderr)


def write_lines(lines: Iterable[str], target: str, out: TextIO) -> None:
    """Lines of a table, in what the terminal (where `target` is "-") can show."""
    from autoinstr.base import text

    encoding = (getattr(sys.stdout, "encoding", None) or "ascii") if target == "-" else "utf-8"
    try:
        "µ…".encode(encoding)
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    for line in lines:
        out.write(
            (
                text.printable(line.translate(text.ASCII), "ascii")
                if plain
                else text.printable(line, encoding)
            )
            + "\n"
        )
