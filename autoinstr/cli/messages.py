"""Print messages beside a result. Errors are exceptions, which `entry.py` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


def print_message(line: str) -> None:
    """Print one line on standard error, if that is open."""
    if sys.stderr is not None:  # print() would take None for standard output
        print(f"autoinstr: {line}", file=sys.stderr)


def write_lines(lines: Iterable[str], target: str, stream: TextIO) -> None:
    """Write the lines of a table in the characters that `target` ("-": the terminal) can show."""
    from autoinstr.report.options import build_options
    from autoinstr.report.terminal import style

    style.write_lines(lines, stream, build_options(target))
