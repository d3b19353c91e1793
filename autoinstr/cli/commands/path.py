"""`autoinstr path`: the folder that turns the agent on when it stands first on PYTHONPATH."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

EXAMPLES = """\
  PYTHONPATH="$(autoinstr path):$PYTHONPATH" AUTOINSTR=1 python train.py
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "path",
        "print the folder to put first on PYTHONPATH",
        "Print the folder to put first on PYTHONPATH. With AUTOINSTR=1 beside it, the\n"
        "agent is on in every Python process started from there; without AUTOINSTR\n"
        "nothing happens, so the folder may stay on the path for good.",
        EXAMPLES,
    )
    parser.set_defaults(run=run)


def gate_folder() -> str:
    """The absolute folder of the gate: inside the package in a wheel, beside the package in a
    checkout."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for folder in (
        os.path.join(package, "sitecustomize"),
        os.path.join(os.path.dirname(package), "sitecustomize"),
    ):
        if os.path.isfile(os.path.join(folder, "sitecustomize.py")):
            return folder
    raise AutoinstrError(
        f"the sitecustomize folder is missing beside {package!a}: the installation is incomplete"
    )


def run(args: argparse.Namespace) -> int:
    print(gate_folder())
    return 0
