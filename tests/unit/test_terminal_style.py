"""Colour on a terminal: which variables decide, in a real pseudo-terminal, and that widths and text
are those of the table without colour."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base import text
from autoinstr.report.options import TableOptions, is_colour_wanted
from autoinstr.report.terminal import modules_table
from autoinstr.report.terminal.layout import Column, format_table
from autoinstr.report.terminal.style import (
    FOLDED,
    HEADING,
    WARNING,
    StyledLine,
    StyledPart,
    choose_weight_style,
    style_line,
    write_lines,
)
from tests.support.report_fakes import layered_run, run_of

REPO = Path(__file__).resolve().parents[2]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COLOUR_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM")


def render(lines: list[str], *, colour: bool, encoding: str = "utf-8") -> str:
    stream = io.StringIO()
    write_lines(lines, stream, TableOptions(encoding=encoding, colour=colour))
    return stream.getvalue()


# A program that writes the first table of `layered_run` to its standard output.
PROGRAM = """\
import io, sys
from autoinstr.report.terminal import modules_table
from autoinstr.report.options import build_options
from tests.support.report_fakes import layered_run, run_of
target = sys.argv[1]
stream = sys.stdout if target == "-" else open(target, "w", encoding="utf-8")
modules_table.write_tables(run_of(layered_run()), stream, build_options(target))
stream.flush()
"""


def run_program(variables: dict[str, str], *, terminal: bool, target: str = "-") -> str:
    """Return what PROGRAM writes to standard output, a pseudo-terminal or a pipe."""
    inherited = {key: value for key, value in os.environ.items() if key not in COLOUR_VARIABLES}
    environ = {
        **inherited,
        "TERM": "xterm",
        "COLUMNS": "120",
        "PYTHONIOENCODING": "utf-8",
        **variables,
    }
    command = [sys.executable, "-c", PROGRAM, target]
    if not terminal:
        return subprocess.run(
            command, env=environ, cwd=REPO, capture_output=True, check=True, encoding="utf-8"
        ).stdout
    master, slave = pty.openpty()
    process = subprocess.Popen(command, env=environ, cwd=REPO, stdout=slave)
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux: the other side was closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(master)
    assert process.wait() == 0
    return b"".join(chunks).decode().replace("\r\n", "\n")


@cache
def plain_table() -> str:
    return run_program({"NO_COLOR": "1"}, terminal=False)


@pytest.mark.parametrize(
    ("variables", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": ""}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_variables_and_the_terminal_decide(
    variables: dict[str, str], terminal: bool, coloured: bool
) -> None:
    written = run_program(variables, terminal=terminal)
    assert ("\x1b[" in written) is coloured
    assert "Net" in written and "layers.[0-3]" in written
    assert ESCAPE.sub("", written) == plain_table()


def test_a_file_has_no_colour_whatever_the_variables_say(tmp_path: Path) -> None:
    file = tmp_path / "table"
    assert run_program({"FORCE_COLOR": "1"}, terminal=True, target=str(file)) == ""
    assert "layers.[0-3]" in file.read_text(encoding="utf-8")
    assert "\x1b" not in file.read_text(encoding="utf-8")


def test_without_standard_output_there_is_no_colour() -> None:
    assert not is_colour_wanted(None, {})
    assert is_colour_wanted(None, {"FORCE_COLOR": "1"})


def test_the_parts_of_a_table_have_their_styles() -> None:
    stream = io.StringIO()
    options = TableOptions(width=120, colour=True)
    modules_table.write_tables(run_of(layered_run()), stream, options)
    lines = stream.getvalue().splitlines()
    heading = next(line for line in lines if "share" in line)
    assert heading.startswith(f"\x1b[{HEADING}mmodule ") and heading.endswith("\x1b[0m")
    title = next(line for line in lines if "inside ranges" in line and "MainProcess" in line)
    assert title.startswith(f"\x1b[{HEADING}m")
    warnings = [line for line in lines if "was killed" in line]
    assert warnings and all(line.startswith(f"\x1b[{WARNING}m! ") for line in warnings)
    net = next(line for line in lines if "Net" in line)
    assert f"\x1b[{choose_weight_style(1.0)}m" in net and "█" in net
    folded = next(line for line in lines if "layers.[0-3]" in line)
    assert folded.startswith(f"\x1b[{FOLDED}m") and "layers.[0-3]" in folded.split("\x1b[0m")[0]
    assert all(line.count("\x1b[0m") * 2 == line.count("\x1b[") for line in lines)


def test_light_figures_have_no_colour() -> None:
    assert [bool(choose_weight_style(share)) for share in (0.0, 0.049, 0.05, 0.2, 0.5, 1.0)] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    assert len({choose_weight_style(share) for share in (0.05, 0.2, 0.5)}) == 3


NAMES = st.text(st.sampled_from("ab…é漢\u0301\x1b\n "), max_size=12)


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 99)), max_size=5), st.integers(4, 60))
def test_text_and_widths_do_not_depend_on_colour(
    rows: list[tuple[str, str, int]], width: int
) -> None:
    columns = [
        Column("name", lambda row: text.escape_unprintable(row[0]), min_width=6, keep_end=True),
        Column("class", lambda row: text.escape_unprintable(row[1]), 1, 4),
        Column("share", lambda row: f"{row[2]}%", 2),
    ]
    styled = [column._replace(choose_style=lambda row: HEADING) for column in columns]
    plain_lines = list(format_table(columns, rows, width))
    styled_lines = list(format_table(styled, rows, width))
    assert plain_lines == styled_lines
    for encoding in ("utf-8", "ascii"):
        plain = render(plain_lines, colour=False, encoding=encoding)
        assert ESCAPE.sub("", render(styled_lines, colour=True, encoding=encoding)) == plain
        assert "\x1b" not in plain


def test_a_styled_cell_is_exactly_its_text() -> None:
    columns = [
        Column("name", lambda row: row[0], min_width=6),
        Column("time", lambda row: row[1], choose_style=lambda row: FOLDED),
    ]
    rows = [("漢字", "10 ns"), ("e\u0301a", "5 ns"), ("none", "")]
    lines = list(format_table(columns, rows, 40))
    cells = [
        [line[part.start : part.end].strip() for part in line.styled_parts]
        for line in lines[1:]
        if isinstance(line, StyledLine)
    ]
    assert cells == [["10 ns"], ["5 ns"], []]


def test_a_name_cannot_bring_its_own_escape_sequences() -> None:
    line = StyledLine("a\x1b[31mb", [StyledPart(0, 2, FOLDED)])
    assert render([line], colour=True) == f"\x1b[{FOLDED}ma\\x1b\x1b[0m[31mb\n"
    assert render([style_line("! a  ", HEADING)], colour=True) == f"\x1b[{HEADING}m! a\x1b[0m\n"
    assert render(["! a  ", "", "b"], colour=True) == f"\x1b[{WARNING}m! a\x1b[0m\n\nb\n"
