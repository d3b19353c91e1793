"""`autoinstr completion bash|zsh`: print a script that completes the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.cli.arguments import WordChoice
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

SHELLS = ("bash", "zsh")

DESCRIPTION = """\
Print a script for the shell. It completes subcommands, options, their values,
directories and files. After an update of autoinstr, start a new shell."""

EXAMPLES = """\
  source <(autoinstr completion bash)           in ~/.bashrc
  source <(autoinstr completion zsh)            in ~/.zshrc, after compinit
  autoinstr completion zsh > ~/.zfunc/_autoinstr          or in a folder on fpath
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers, "completion", "print a shell completion script", DESCRIPTION, EXAMPLES
    )
    parser.add_argument(
        "shell", metavar="bash|zsh", type=WordChoice(SHELLS), help="the shell to write it for"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.cli.completion import bash, zsh
    from autoinstr.cli.completion.tables import read_tables
    from autoinstr.cli.subcommands import build_parser

    tables = read_tables(build_parser())
    print({"bash": bash, "zsh": zsh}[args.shell].write_script(tables), end="")
    return 0
