"""`autoinstr run [options] -- command …`: any command, with the agent on in every Python process of
it."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from autoinstr.base.errors import AutoinstrError, ConfigError, UsageError
from autoinstr.cli.commands.path import gate_folder
from autoinstr.cli.parser import add_command
from autoinstr.config.config import ASKED, INHERITED_OUT, default_out, load
from autoinstr.config.filters import compile_filter
from autoinstr.config.options import GROUPS, OPTIONS
from autoinstr.instrument.profilers.parameters import read
from autoinstr.targets.rows import builtin, custom
from autoinstr.targets.selection import unmatched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from autoinstr.cli.parser import Parser
    from autoinstr.config.config import Config

DESCRIPTION = """\
Run a command with the agent on in every Python process that it starts. The
program is not edited; its arguments, output, signals and exit status are its
own. Every option is also an environment variable (--when is AUTOINSTR_WHEN);
a flag wins over the environment. All of them: docs/configuration.md."""

EXAMPLES = """\
  autoinstr run -- python train.py --epochs 1
  autoinstr run --out runs/first -- vllm serve Qwen/Qwen2.5-0.5B-Instruct
  autoinstr run --exclude 'class:Dropout,depth:4-' -- torchrun train.py
  autoinstr run --when manual --out runs/serve -- bash serve.sh
  autoinstr ctl on runs/serve                   from another terminal
"""


class CommandError(AutoinstrError):
    """A command that could not be started; its exit status is a shell's."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


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
                text = (
                    f"{option.help}. Values: {option.kind.values}. Default: {option.shown}".replace(
                        "%", "%%"
                    ).replace("`", "")
                )
                group.add_argument(
                    option.flag,
                    dest=f"option_{option.name}",
                    metavar="VALUE",
                    action="append",
                    help=text,
                )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not args.command:
        raise UsageError("no command is given; for example: autoinstr run -- python train.py")
    flags = {}
    for option in OPTIONS:
        texts = getattr(args, f"option_{option.name}")
        if texts:
            flags[option.name] = ",".join(texts) if option.kind.is_list else texts[-1]
    check_targets(load(os.environ, flags=flags))
    replace_process(args.command, environment(flags))


def check_targets(config: Config) -> None:
    """Raises UsageError for a row of the user's own that cannot be used, and for a pattern that
    names no target. In the command itself either is a warning; `doctor` lists them all."""
    if not config.custom_targets and config.sources["targets"] == "default":
        return
    own, problems = custom(config.custom_targets, config.config or "")
    for problem in problems:
        raise UsageError(problem)
    for pattern, near in unmatched([*builtin(), *own], config.targets):
        raise ConfigError(
            "is no target",
            option="targets",
            value=pattern,
            source=config.sources["targets"],
            suggestion=near,
        )


def environment(flags: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with the agent on and `flags` set. All options are checked first,
    but for what `targets` names: raises ConfigError."""
    config = load(os.environ, flags=flags)
    compile_filter(config.include, config.exclude, config.sources)
    for bad in read(config.profiler)[1]:
        value, source = f"{bad.name}={bad.value}", config.sources["profiler"]
        raise ConfigError(
            bad.problem, option="profiler", value=value, source=source, suggestion=bad.suggestion
        )
    ours = {option.environment for option in OPTIONS} | {INHERITED_OUT, ASKED}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    if was_added("LC_CTYPE"):
        del kept["LC_CTYPE"]
    folder = gate_folder()
    entries = [entry for entry in kept.get("PYTHONPATH", "").split(os.pathsep) if entry != folder]
    # An empty PYTHONPATH is not an entry; a trailing separator would put the working directory on
    # the path of every child.
    kept["PYTHONPATH"] = os.pathsep.join([folder, *entries]) if kept.get("PYTHONPATH") else folder
    # The run has its name in any case: a command may start several Python programs, which write
    # into one `out`.
    return {**kept, ASKED: "1", INHERITED_OUT: default_out(os.environ), **config.to_environ()}


def was_added(name: str) -> bool:
    """Whether this interpreter put `name` into its environment itself, as Python does with LC_CTYPE
    in the C locale (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as stream:
            given = stream.read().split(b"\0")
    except OSError:
        return False
    return name in os.environ and not any(entry.startswith(f"{name}=".encode()) for entry in given)


def replace_process(command: list[str], environ: dict[str, str]) -> NoReturn:
    """Become the command, so that its signals, its exit status and its parent are what they are
    without us. Raises CommandError."""
    sys.stdout.flush()
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(
            getattr(signal, name), signal.SIG_DFL
        )  # Python ignores them, and what is ignored stays so across exec
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        raise refusal(command[0], error) from None
    except ValueError as error:  # a NUL in an argument
        raise UsageError(f"{command[0]!a} cannot be run: {error}") from None


def refusal(program: str, error: OSError) -> CommandError:
    """A shell's exit status and one line for a program that could not be started."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return CommandError(f"command not found: {program}", 127)
    return CommandError(f"{program}: {error.strerror}", 126)
