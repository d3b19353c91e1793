"""`autoinstr help [SUBCOMMAND]`: print the same text as `autoinstr SUBCOMMAND --help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

EXAMPLES = """\
  autoinstr help              the list of subcommands
  autoinstr help report       the options and examples of one
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "help",
        "show the help of a subcommand",
        "Show the help of a subcommand, or the list of subcommands.",
        EXAMPLES,
    )
    parser.add_argument("topic", nargs="?", metavar="SUBCOMMAND", help="the subcommand")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.cli.subcommands import build_parser, check_subcommand, find_subparsers

    parser: argparse.ArgumentParser = build_parser()
    if args.topic is not None:
        check_subcommand(args.topic)
        parser = find_subparsers(parser)[args.topic]
    parser.print_help()
    return 0
