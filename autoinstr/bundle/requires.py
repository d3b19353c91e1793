"""Evaluate Requires-Python of a distribution for a minor version of Python."""

from __future__ import annotations

# An operator stands before those that it begins with.
_OPERATORS = ("~=", "===", "==", "!=", ">=", "<=", ">", "<")


def is_allowed(requires: str, minor: tuple[int, int]) -> bool:
    """Return whether a release of this minor version fulfils Requires-Python.

    An unreadable clause allows no version."""
    clauses = [clause.strip() for clause in requires.split(",")]
    return all(_is_fulfilled(clause, minor) for clause in clauses if clause)


def _is_fulfilled(clause: str, minor: tuple[int, int]) -> bool:
    operator = next((word for word in _OPERATORS if clause.startswith(word)), "")
    text = clause[len(operator) :].strip()
    parts = text[:-2].split(".") if text.endswith(".*") else text.split(".")
    if not operator or not all(part.isdigit() for part in parts):
        return False
    bound = tuple(int(part) for part in parts)
    bound_minor, has_micro = (*bound, 0)[:2], len(bound) > 2
    return {
        ">=": minor >= bound_minor,
        ">": minor >= bound_minor if has_micro else minor > bound_minor,
        "<=": minor <= bound_minor,
        "<": minor <= bound_minor if any(bound[2:]) else minor < bound_minor,
        "==": minor[: len(bound)] == bound[:2],
        "===": minor == bound[:2],
        "!=": has_micro or minor[: len(bound)] != bound[:2],
        "~=": minor >= bound_minor and (minor == bound[:2] if has_micro else minor[0] == bound[0]),
    }[operator]
