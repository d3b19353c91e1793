"""The list of subcommands, and the parser of the whole command line.

A subcommand is one module in `commands/` with two functions. `add_parser(subparsers)` declares its
arguments and sets `run` as the default; `run(args)` does the work and returns the exit status.
Slow imports belong in `run`, so that `autoinstr path` stays instant.
"""

from __future__ import annotations

import argparse
import importlib

from autoinstr.base.errors import UsageError
from autoinstr.cli.parser import Parser
from autoinstr.config.suggestions import find_nearest

SUBCOMMANDS = (
    "run",
    "report",
    "diff",
    "merge",
    "view",
    "analyse",
    "doctor",
    "targets",
    "ctl",
    "bundle",
    "path",
    "completion",
    "help",
)

DESCRIPTION = """\
Show which layer, and which part of a vLLM or training step, takes the time in
any PyTorch or vLLM program, without editing it."""

EPILOG = """\
start with these two commands:
  autoinstr run -- python train.py              record every module call of an unedited program
  autoinstr report autoinstr-runs/<run>         show the time of each layer, as a table

`autoinstr help <subcommand>` shows examples of each.
"""


def build_parser() -> Parser:
    """Build the parser of the whole command line."""
    parser = Parser(
        prog="autoinstr",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(
        title="subcommands", metavar="<subcommand>", dest="subcommand", parser_class=Parser
    )
    for name in SUBCOMMANDS:
        importlib.import_module(f"autoinstr.cli.commands.{name}").add_parser(subparsers)
    return parser


def find_subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the subcommands by name, in the order of the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def check_subcommand(word: str) -> None:
    """Raise UsageError with the nearest subcommand if the word is not one."""
    if word not in SUBCOMMANDS:
        suggestion = find_nearest(word, SUBCOMMANDS)
        hint = (
            f"; did you mean {suggestion!r}?"
            if suggestion
            else f" (there are: {', '.join(SUBCOMMANDS)})"
        )
        raise UsageError(f"{word!a} is not a subcommand{hint}")
