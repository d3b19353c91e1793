"""`autoinstr doctor [--json] [-- command]`: say why the agent is on or off, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

DESCRIPTION = """\
Say whether the agent would be on in this interpreter and why. Show every option
with its value and source, and known problems. The exit status is 1 if the
configuration cannot be used.

With a command: run it with the agent on. Then say for each of its Python processes
whether the agent was on, why, which modules the filters kept, and which parameters
torch_npu's profilers got. The output of the command is unchanged. With --json its
standard output goes to standard error, so that standard output holds only JSON. The
exit status is the command's."""

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
        from autoinstr.cli.doctor.processes import examine_command, format_processes

        facts = examine_command(args.command, stdout_is_ours=args.json)
        lines, status = format_processes(facts), facts["exit_status"]
    else:
        from autoinstr.cli.doctor.interpreter import examine_interpreter, format_interpreter

        facts = examine_interpreter()
        lines, status = format_interpreter(facts), 1 if facts["error"] else 0
    print(json.dumps(facts, indent=2, default=str) if args.json else "\n".join(lines))
    return int(status)
