"""`autoinstr run [options] -- command …`: run a command with the agent on in its processes."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from autoinstr.base.errors import ConfigError, UsageError
from autoinstr.cli.parser import add_command
from autoinstr.config.option import GROUPS
from autoinstr.config.options import OPTIONS

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser
    from autoinstr.config.config import Config

DESCRIPTION = """\
Run a command with the agent on in every Python process that it starts. You do not
edit the program; its arguments, output, signals and exit status stay the same.
Recordings go to a new folder in autoinstr-runs, in the working directory; a file
watcher there would start the command again, so give another place with --out.
Every option is also an environment variable (--when is AUTOINSTR_WHEN); a flag
wins over the environment. docs/reference/options.md describes all of them."""

EXAMPLES = """\
  autoinstr run -- python train.py --epochs 1
  autoinstr run --out runs/first -- vllm serve Qwen/Qwen2.5-0.5B-Instruct
  autoinstr run --exclude 'class:Dropout,depth:4-' -- torchrun train.py
  autoinstr run --when manual --out runs/serve -- bash serve.sh
  autoinstr ctl on runs/serve                   from another terminal
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers, "run", "run a command with the agent on", DESCRIPTION, EXAMPLES
    )
    parser.usage = "autoinstr run [options] -- command ..."
    parser.takes_command = True
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for option in OPTIONS:
            if option.group == title:
                values = option.value_type.values
                description = f"{option.help}. Values: {values}. Default: {option.default_text}"
                group.add_argument(
                    option.flag,
                    dest=f"option_{option.name}",
                    metavar="VALUE",
                    action="append",
                    help=description.replace("%", "%%").replace("`", ""),
                )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.cli.launch import build_environment
    from autoinstr.config.config import load_config

    if not args.command:
        raise UsageError("no command is given; for example: autoinstr run -- python train.py")
    flags = {}
    for option in OPTIONS:
        texts = getattr(args, f"option_{option.name}")
        if texts:
            flags[option.name] = ",".join(texts) if option.value_type.is_list else texts[-1]
    check_targets(load_config(os.environ, flags=flags))
    replace_process(args.command, build_environment(flags))


def check_targets(config: Config) -> None:
    """Raise UsageError for a target row of the user or a pattern that cannot be used.

    The command itself only warns of them; `autoinstr doctor` lists all."""
    from autoinstr.targets.custom_targets import parse_custom_targets
    from autoinstr.targets.rows import load_builtin_targets
    from autoinstr.targets.selection import find_unmatched

    if not config.custom_targets and config.sources["targets"] == "default":
        return
    custom_targets, problems = parse_custom_targets(config.custom_targets, config.config or "")
    if problems:
        raise UsageError(problems[0])
    targets = [*load_builtin_targets(), *custom_targets]
    for pattern, suggestion in find_unmatched(targets, config.targets):
        raise ConfigError(
            "is no target",
            option="targets",
            value=pattern,
            source=config.sources["targets"],
            suggestion=suggestion,
        )


def replace_process(command: list[str], environ: dict[str, str]) -> NoReturn:
    """Replace this process by the command, which keeps its process id, parent and exit status.

    CommandError if the command cannot be started."""
    from autoinstr.cli.launch import make_command_error

    sys.stdout.flush()
    # Python ignores these signals, and an ignored signal stays ignored after exec
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        raise make_command_error(command[0], error) from None
    except ValueError as error:  # a NUL in an argument
        raise UsageError(f"{command[0]!a} cannot be run: {error}") from None
