"""Makes a code object with range boundaries from the text of a generated function.

Line numbers stay those of the file, and the file is never written. What the new code calls is a
constant of it, so no global name is added."""

from __future__ import annotations

import ast
from types import CodeType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument.compiled.range_plan import COMPOUND, find_functions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.instrument.compiled.range_plan import RangePlan

_PLACEHOLDER = "autoinstr enters "  # and the name of the function; stands for the callable
_STEP = "_autoinstr_step"
# `{}.get` does nothing with the number of a step, and needs no Python frame.
_ENTER = """\
_autoinstr_enter = {placeholder!r}
try:
    {step} = _autoinstr_enter()
except RecursionError:
    {step} = {{}}.get
"""


def weave(
    source: str,
    file: str,
    plans: Mapping[str, RangePlan],
    enter: Mapping[str, Callable[[], Any]],
) -> dict[str, CodeType]:
    """Return the code of each function in `plans`, with calls of a step between the statements.

    `enter[name]()` returns the callable that takes the number of a step; -1 ends all ranges.
    Raises ValueError if a line of a plan has no statement."""
    tree = ast.parse(source)
    functions = find_functions(tree)
    for name, plan in plans.items():
        _insert_steps(functions[name], plan)
    module_code = compile(tree, file, "exec", dont_inherit=True)
    return {name: _finish(_find_code(module_code, name), name, enter[name]) for name in plans}


def _insert_steps(function: ast.FunctionDef, plan: RangePlan) -> None:
    before, after = dict(plan.before), dict(plan.after)

    def add_steps(body: list[ast.stmt]) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for statement in body:
            line = statement.lineno
            if isinstance(statement, COMPOUND):
                statement.body = add_steps(statement.body)
                if not isinstance(statement, ast.With):
                    statement.orelse = add_steps(statement.orelse)
                statements.append(statement)
                continue
            if line in before:
                statements += _parse_at(f"{_STEP}({before.pop(line)})", line)
            statements.append(statement)
            if line in after:
                statements += _parse_at(f"{_STEP}({after.pop(line)})", line)
        return statements

    body = add_steps(function.body)
    if before or after:
        raise ValueError(f"no statement at the lines {sorted({*before, *after})}")
    first_line = function.body[0].lineno
    enter = _ENTER.format(placeholder=_PLACEHOLDER + function.name, step=_STEP)
    guard = _parse_at(f"try:\n    pass\nfinally:\n    {_STEP}(-1)", first_line)[0]
    assert isinstance(guard, ast.Try)
    guard.body = body
    function.body = [*_parse_at(enter, first_line), guard]


def _parse_at(text: str, line: int) -> list[ast.stmt]:
    """Parse statements and put all of them on one line."""
    statements = ast.parse(text).body
    for statement in statements:
        for node in ast.walk(statement):
            if hasattr(node, "lineno"):
                node.lineno = node.end_lineno = line  # type: ignore[attr-defined]
                node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
    return statements


def _find_code(code: CodeType, name: str) -> CodeType:
    pending = [code]
    while pending:
        for constant in pending.pop().co_consts:
            if isinstance(constant, CodeType):
                if constant.co_name == name:
                    return constant
                pending.append(constant)
    raise ValueError(f"no function {name}")


def _finish(code: CodeType, name: str, enter: Callable[[], Any]) -> CodeType:
    placeholder = _PLACEHOLDER + name
    constants = tuple(enter if constant == placeholder else constant for constant in code.co_consts)
    return code.replace(co_consts=constants)
