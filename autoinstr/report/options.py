"""How tables are shown: the options that all of them share."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from autoinstr.analysis.device_rows import RunDevice

UNKNOWN_WIDTH = 100  # columns, where no terminal says how many it has


class TableOptions(NamedTuple):
    """Say how a table is shown.

    `width` is in columns of the terminal. `limit` is the most lines of a table; 0 shows all.
    `sort` is the order and `table` the kind of table; each report has its own words for both.
    `phase` selects the ranges of one phase; None is all, and "none" those without a phase.
    `encoding` is that of the output, and `colour` adds escape sequences. `screen_lines` is the
    number of lines that all tables together may have; with 0 only `limit` counts. `device` has the
    device time of the run, if there is a profile."""

    width: int = 80
    limit: int = 30
    sort: str = "tree"
    table: str = "modules"
    phase: str | None = None
    encoding: str = "utf-8"
    colour: bool = False
    screen_lines: int = 0
    device: RunDevice | None = None


def build_options(target: str, **values: Any) -> TableOptions:
    """Return options for a table that is written to `target`, a file or "-" for standard output.

    The width is the terminal's. Encoding and colour are what standard output can show; a file
    gets UTF-8 without colour. `values` are the other fields."""
    width = shutil.get_terminal_size((UNKNOWN_WIDTH, 0)).columns
    if target != "-":
        return TableOptions(width, **values)
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return TableOptions(width, encoding=encoding, colour=is_colour_wanted(sys.stdout), **values)


def is_colour_wanted(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether output to the stream is coloured.

    NO_COLOR turns colour off and FORCE_COLOR turns it on; an empty value counts as unset, and
    NO_COLOR wins. Otherwise only a terminal gets colour, and not one with TERM=dumb. CPython
    decides in this order too."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return environ.get("TERM") != "dumb" and stream is not None and stream.isatty()
