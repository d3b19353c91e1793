"""`autoinstr path`: print the folder that turns the agent on from PYTHONPATH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.cli.gate import find_gate_folder
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

DESCRIPTION = """\
Print the folder to put first on PYTHONPATH. With AUTOINSTR=1, the agent is on in
every Python process started from there. Without AUTOINSTR it does nothing, so the
folder can stay on the path."""

EXAMPLES = """\
  PYTHONPATH="$(autoinstr path):$PYTHONPATH" AUTOINSTR=1 python train.py
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers, "path", "print the folder to put first on PYTHONPATH", DESCRIPTION, EXAMPLES
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    print(find_gate_folder())
    return 0
