"""Redact a command line, argument by argument."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .names import NOT_SECRET, SECRET, SECRET_UNLESS_NUMBER, is_secret_name, rate_name
from .texts import redact_text
from .values import FLAGS, NUMBERS, REDACTED, STRING, WORD

if TYPE_CHECKING:
    from collections.abc import Iterable

_USER_OPTION = re.compile(r"-[uU]|--[\w-]{0,40}user(?:name)?")
_ASSIGNMENT = re.compile(r"[^\w\s=:\"']{0,3}(?:(?:[\w.-]+=)+|[\w.-]+:(?!//))")
# -c, also in groups as -lc and -Ic: the program is the next argument, or the rest of this one
_PROGRAM = re.compile(r"-[A-Za-z]{0,8}?c")
# Words of a program that contain the name of a secret but do not name one: sorted(x, key=f),
# d.keys(), pass
_ORDINARY_WORDS = frozenset({"pass", "key", "keys"})
_SECRET_CALLS = frozenset({"login"})  # the argument of login("…") is secret
# String literals and comments of a program. A comment is replaced too, because an apostrophe in it
# would look like a quote. Names such as os.environ["HF_TOKEN"] stay.
_LITERAL = re.compile(
    rf"(?-i:(?<=[\w)\]]\[)[\"'][A-Z_]{{1,64}}[\"'](?=\]))|(?P<literal>#[^\n]*|{STRING})", FLAGS
)
# What the next argument is expected to be.
_NO_VALUE, _FIRST_VALUE, _LATER_VALUE = 0, 1, 2


def redact_argv(argv: Iterable[str]) -> list[str]:
    """Return the command line without its secrets, with the same number of arguments."""
    output: list[str] = []
    previous, expected, rating = "", _NO_VALUE, NOT_SECRET
    for argument in argv:
        # A first value may begin with a dash. Two dashes begin the next option.
        if expected and not argument.startswith("--" if expected == _FIRST_VALUE else "-"):
            if rating == SECRET or not NUMBERS.match(argument):
                output.append(REDACTED)
                expected = _LATER_VALUE
                continue
            expected = _NO_VALUE
        is_program = _PROGRAM.match(previous if _PROGRAM.fullmatch(previous) else argument)
        output.append(
            _redact_program(argument) if is_program else _redact_argument(argument, previous)
        )
        is_option = argument.startswith("-") and "=" not in argument[:-1]
        rating = rate_name(argument) if is_option else NOT_SECRET
        previous, expected = argument, _FIRST_VALUE if rating else _NO_VALUE
    return output


def _redact_argument(argument: str, previous: str) -> str:
    assignment = _ASSIGNMENT.match(argument)
    if assignment:
        rating = max(map(rate_name, re.split("[=:]", assignment[0])))
        if rating == SECRET or (
            rating == SECRET_UNLESS_NUMBER and not NUMBERS.match(argument, assignment.end())
        ):
            has_value = len(argument) > assignment.end()
            return f"{assignment[0]}{REDACTED}" if has_value else argument
    option, equals, value = (
        argument.partition("=") if argument.startswith("-") else (previous, "", argument)
    )
    if _USER_OPTION.fullmatch(option):
        user, colon, password = value.partition(":")
        if (
            password
            and not password.startswith("//")
            and not (user.isdigit() and password.isdigit())
        ):
            return f"{option if equals else ''}{equals}{user}{colon}{REDACTED}"
    return redact_text(argument)


def _redact_program(argument: str) -> str:
    """Redact the text of a program.

    If it names a secret anywhere, all its strings are replaced: `x = "…"; login(token=x)`."""
    assignment = _ASSIGNMENT.match(argument)
    if assignment and is_secret_name(assignment[0]):
        return _redact_argument(argument, "")
    words = {word.rpartition(".")[2] for word in WORD.findall(argument)}
    output = redact_text(argument)
    if words & _SECRET_CALLS or any(map(is_secret_name, words - _ORDINARY_WORDS)):
        output = _LITERAL.sub(lambda match: REDACTED if match["literal"] else match[0], output)
    return output
