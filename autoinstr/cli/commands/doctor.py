"""`autoinstr doctor [--json] [-- command]`: why the agent is on or off, here or in each process of
a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

DESCRIPTION = """\
Say whether the agent would be on in this interpreter and why, which options
are in force and where each value comes from, and what is known to go wrong.
Exit status 1 if the configuration cannot be used.

With a command: run it with the agent on, then say for each of its Python
processes whether the agent was on there, why, which modules the filters kept,
and what torch_npu's profilers were made with. The command's output is untouched; with --json its standard output goes
to standard error, so that standard output is JSON alone. The exit status is
the command's, as with time(1)."""

EXAMPLES = """\
  autoinstr doctor
  AUTOINSTR=when=manual autoinstr doctor --json
  autoinstr doctor -- python train.py --steps 1
  AUTOINSTR_INCLUDE='*.mlp' autoinstr doctor -- python generate.py
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers, "doctor", "say why the agent is on or off", DESCRIPTION, EXAMPLES
    )
    parser.usage = "autoinstr doctor [--json] [-- command ...]"
    parser.takes_command = True
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import json

    if args.command == []:
        raise UsageError(
            "no command is given after --; for example: autoinstr doctor -- python train.py"
        )
    if args.command:
        from autoinstr.cli.doctor.processes import diagnose, process_lines

        told = diagnose(args.command, stdout_is_ours=args.json)
        lines, status = process_lines(told), told["exit_status"]
    else:
        from autoinstr.cli.doctor.interpreter import examine, health_lines

        told = examine()
        lines, status = health_lines(told), 1 if told["error"] else 0
    print(json.dumps(told, indent=2, default=str) if args.json else "\n".join(lines))
    return int(status)
