"""Test functions under another module's file and line: results are the same, and frames show that
line."""

from __future__ import annotations

import traceback
import types
import warnings

import pytest

from autoinstr.instrument.frames import copy_with_line_of

HOST = types.ModuleType("host")
HOST.__file__ = "/somewhere/host.py"
HOST.__dict__.update(FACTOR=3, warnings=warnings, __builtins__=__builtins__)


def scaled(first: int, second: int = 2, /, *more: int, third: int = 0) -> int:
    """Long enough for several entries of a line table."""
    total = first + second + third
    try:
        for one in more:
            total += one
        if third == 99:
            raise ValueError("ninety-nine")
        warnings.warn("seen", stacklevel=1)
        return total * FACTOR  # type: ignore[name-defined,no-any-return]  # noqa: F821
    finally:
        total = 0


def test_it_computes_the_same_with_the_other_modules_globals() -> None:
    function = copy_with_line_of(scaled, HOST, "_call_impl", 77)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert (function(1), function(1, 5, 6, third=7)) == (9, 57)
    assert {(one.filename, one.lineno) for one in caught} == {("/somewhere/host.py", 77)}


def test_every_instruction_lies_on_the_line() -> None:
    function = copy_with_line_of(scaled, HOST, "_call_impl", 77)
    with pytest.raises(ValueError, match="ninety-nine") as caught:
        function(1, third=99)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno, last.name) == ("/somewhere/host.py", 77, "_call_impl")
    lines = (
        {line for *_, line in function.__code__.co_lines()}
        if hasattr(function.__code__, "co_lines")
        else {77}
    )
    assert lines - {None} == {77}
