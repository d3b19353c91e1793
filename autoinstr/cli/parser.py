"""The argument parser of all subcommands: examples in the help, and errors as exceptions."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from autoinstr.base.errors import UsageError
from autoinstr.config.suggestions import find_nearest


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises UsageError, and answers an unknown option with the nearest.

    With `takes_command` the command line may end in the command line of another program. It begins
    after `--`, or with the first word that is no option and no option's value. `args.command` holds
    its words unchanged: None if it is absent, [] if nothing follows `--`."""

    takes_command = False

    def __init__(self, **settings: Any) -> None:
        # an abbreviation that is unique now would become ambiguous with a new option
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError, which `main` prints."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the words before the command; raise UsageError for an unknown one."""
        words, command = self._split_command(list(sys.argv[1:] if args is None else args))
        parsed, unknown = super().parse_known_args(self._join_negative_values(words), namespace)
        if unknown:
            self._refuse(unknown[0].partition("=")[0])
        if self.takes_command:
            parsed.command = command
        return parsed, []

    def _refuse(self, word: str) -> NoReturn:
        is_option = word.startswith("-")
        suggestion = find_nearest(word, self._option_string_actions) if is_option else None
        hint = f"; did you mean {suggestion!r}?" if suggestion else f" (see {self.prog} --help)"
        problem = "is not an option of" if is_option else "is one argument too many for"
        raise UsageError(f"{word!a} {problem} {self.prog}{hint}")

    def _join_negative_values(self, words: list[str]) -> list[str]:
        """Turn `--option -5%` into `--option=-5%`.

        argparse takes a word that begins with a minus for an option unless it is a plain number."""
        result: list[str] = []
        for word in words:
            action = self._option_string_actions.get(result[-1]) if result else None
            if (
                word[:1] == "-"
                and word[1:2].isdecimal()
                and action is not None
                and action.nargs is None
                and result[-1][:2] == "--"
            ):
                result[-1] += f"={word}"
            else:
                result.append(word)
        return result

    def _split_command(self, words: list[str]) -> tuple[list[str], list[str] | None]:
        """Split the words into own arguments and the command of another program (None: absent)."""
        index = 0
        while self.takes_command and index < len(words):
            name, equals, value = words[index].partition("=")
            option = name.replace("_", "-")
            if option in self._option_string_actions:
                # configuration files and the environment write max_mb, so --max_mb works too
                words[index] = option + equals + value
            if words[index] == "--":
                return words[:index], words[index + 1 :]
            if not words[index].startswith("-"):
                return words[:index], words[index:]
            action = self._option_string_actions.get(words[index])
            index += 2 if action is not None and action.nargs != 0 else 1
        return words, None


def add_command(
    subparsers: argparse._SubParsersAction[Parser],
    name: str,
    summary: str,
    description: str,
    examples: str,
) -> Parser:
    """Add the parser of a subcommand.

    `summary` is its line in the list of subcommands, `description` a paragraph, and `examples` are
    lines that a user can paste."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
