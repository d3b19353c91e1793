"""Requires-Python of a distribution, asked of one minor version."""

from __future__ import annotations

_OPERATORS = (
    "~=",
    "===",
    "==",
    "!=",
    ">=",
    "<=",
    ">",
    "<",
)  # longer ones before what they begin with


def allows(requires: str, minor: tuple[int, int]) -> bool:
    """Whether some release of this minor version fulfils Requires-Python. What cannot be read
    allows nothing."""
    return all(_fulfils(piece.strip(), minor) for piece in requires.split(",") if piece.strip())


def _fulfils(piece: str, minor: tuple[int, int]) -> bool:
    operator = next((word for word in _OPERATORS if piece.startswith(word)), "")
    text = piece[len(operator) :].strip()
    parts = text[:-2].split(".") if text.endswith(".*") else text.split(".")
    if not operator or not all(part.isdigit() for part in parts):
        return False
    bound = tuple(int(part) for part in parts)
    short, exact = (*bound, 0)[:2], len(bound) > 2
    return {
        ">=": minor >= short,
        ">": minor >= short if exact else minor > short,
        "<=": minor <= short,
        "<": minor <= short if any(bound[2:]) else minor < short,
        "==": minor[: len(bound)] == bound[:2],
        "===": minor == bound[:2],
        "!=": exact or minor[: len(bound)] != bound[:2],
        "~=": minor >= short and (minor == bound[:2] if exact else minor[0] == bound[0]),
    }[operator]
