"""Read subcommands, options and their values from the parser, for completion scripts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.cli.arguments import WordChoice
from autoinstr.cli.subcommands import SUBCOMMANDS, find_subparsers
from autoinstr.config import list_types, value_types
from autoinstr.config.option import Option
from autoinstr.config.options import BY_NAME

if TYPE_CHECKING:
    from autoinstr.cli.parser import Parser

# how a value is completed
WORDS, WORD_LIST, FILE, DIRECTORY, NO_VALUE = "words", "list", "file", "directory", "nothing"
# The metavars of this command line whose values are paths.
PATHS = {
    **dict.fromkeys(("DIR", "DIR2", "A", "B"), DIRECTORY),
    **dict.fromkeys(("FILE", "TRACE", "PROGRAM", "PYTHON"), FILE),
}


class Values(NamedTuple):
    """How a value is completed: `words` are alternatives, or the members of a comma list."""

    kind: str
    words: tuple[str, ...] = ()


class OptionRow(NamedTuple):
    """An option: its names, one line of help, and its values (None: it takes no value)."""

    names: tuple[str, ...]
    summary: str
    metavar: str
    values: Values | None
    repeats: bool


class ArgumentRow(NamedTuple):
    """A positional argument; the last of a subcommand may repeat."""

    metavar: str
    values: Values
    repeats: bool


class SubcommandTable(NamedTuple):
    """What can follow a subcommand. With `takes_command` it ends in another command line."""

    name: str
    summary: str
    options: list[OptionRow]
    arguments: list[ArgumentRow]
    takes_command: bool


class CommandTables(NamedTuple):
    """The options of `autoinstr` itself, and its subcommands."""

    options: list[OptionRow]
    subcommands: list[SubcommandTable]


def read_tables(parser: Parser) -> CommandTables:
    """Return the tables of the whole command line."""
    summaries = _read_summaries(parser)
    subcommands = [
        SubcommandTable(
            name,
            summaries.get(name, ""),
            _list_options(subparser),
            [
                ArgumentRow(_get_metavar(action), describe_values(action), action.nargs == "+")
                for action in subparser._actions
                if not action.option_strings
            ],
            getattr(subparser, "takes_command", False),
        )
        for name, subparser in find_subparsers(parser).items()
    ]
    return CommandTables(_list_options(parser), subcommands)


def _read_summaries(parser: Parser) -> dict[str, str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {choice.dest: choice.help or "" for choice in action._choices_actions}
    return {}


def _list_options(parser: argparse.ArgumentParser) -> list[OptionRow]:
    return [
        OptionRow(
            tuple(action.option_strings),
            _shorten(action.help or ""),
            _get_metavar(action),
            None if action.nargs == 0 else describe_values(action),
            isinstance(action, argparse._AppendAction),
        )
        for action in parser._actions
        if action.option_strings
    ]


def describe_values(action: argparse.Action) -> Values:
    """Return how the values of an option or a positional argument are completed."""
    metavar = _get_metavar(action)
    option = BY_NAME.get(action.dest.removeprefix("option_"))
    if option is not None and action.dest.startswith("option_"):
        return _describe_option_values(option)
    if isinstance(action.type, WordChoice):
        return Values(WORDS, action.type.choices)
    if "|" in metavar:
        return Values(WORDS, tuple(metavar.split("|")))
    if metavar == "SUBCOMMAND":
        return Values(WORDS, SUBCOMMANDS)
    return Values(PATHS.get(metavar, NO_VALUE))


def _describe_option_values(option: Option) -> Values:
    """Return how the values of an option of `autoinstr run` are completed."""
    value_type = option.value_type
    if isinstance(value_type, value_types.ChoiceType):
        return Values(WORDS, tuple(value_type.words))
    if isinstance(value_type, value_types.FlagType):
        return Values(WORDS, ("on", "off"))
    if isinstance(value_type, value_types.PathType):
        return Values(FILE)
    if isinstance(value_type, list_types.ListType):
        words = tuple(dict.fromkeys([*option.default, *value_type.words, *value_type.alone]))
        return Values(WORD_LIST, words) if words else Values(NO_VALUE)
    return Values(NO_VALUE)


def _get_metavar(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()


def _shorten(text: str) -> str:
    """Return the first clause of a help text."""
    clause = text.replace("%%", "%").partition(";")[0].partition(" (")[0].partition(". ")[0]
    return " ".join(clause.split())
