"""Build the environment of a command that runs with the agent on, and explain failed starts."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, ConfigError
from autoinstr.cli.gate import find_gate_folder
from autoinstr.config.config import load_config
from autoinstr.config.environment import (
    EXPLICIT_RUN_VARIABLE,
    INHERITED_OUT_VARIABLE,
    choose_default_out,
)
from autoinstr.config.filters import compile_filter
from autoinstr.config.options import OPTIONS
from autoinstr.instrument.profilers.parameters import read_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping


class CommandError(AutoinstrError):
    """A command that could not be started; the exit status is the one that a shell would use."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def build_environment(flags: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with the agent on and the options `flags` set.

    ConfigError if any option cannot be used. The names in the option `targets` are not checked."""
    config = load_config(os.environ, flags=flags)
    compile_filter(config.include, config.exclude, config.sources)
    for bad in read_parameters(config.profiler)[1]:
        value, source = f"{bad.name}={bad.value}", config.sources["profiler"]
        raise ConfigError(
            bad.problem, option="profiler", value=value, source=source, suggestion=bad.suggestion
        )
    own_names = {option.environment for option in OPTIONS} | {
        INHERITED_OUT_VARIABLE,
        EXPLICIT_RUN_VARIABLE,
    }
    environ = {name: value for name, value in os.environ.items() if name not in own_names}
    if has_python_set("LC_CTYPE"):
        del environ["LC_CTYPE"]
    environ["PYTHONPATH"] = _prepend_gate(environ.get("PYTHONPATH", ""))
    # The run has a name even with `out`: a command may start several programs that write there.
    return {
        **environ,
        EXPLICIT_RUN_VARIABLE: str(os.getpid()),  # `run` becomes the command
        INHERITED_OUT_VARIABLE: choose_default_out(os.environ),
        **config.to_environ(),
    }


def _prepend_gate(python_path: str) -> str:
    """Return a PYTHONPATH with the gate as its first entry, and nowhere else."""
    folder = find_gate_folder()
    if not python_path:
        # a separator after the gate would add the working directory to every child's path
        return folder
    entries = [entry for entry in python_path.split(os.pathsep) if entry != folder]
    return os.pathsep.join([folder, *entries])


def has_python_set(name: str) -> bool:
    """Return whether this interpreter added the variable `name` to its own environment.

    Python sets LC_CTYPE in the C locale (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as stream:
            inherited = stream.read().split(b"\0")
    except OSError:
        return False
    prefix = f"{name}=".encode()
    return name in os.environ and not any(entry.startswith(prefix) for entry in inherited)


def make_command_error(program: str, error: OSError) -> CommandError:
    """Return the error for a program that could not be started."""
    hint = _suggest_interpreter(program)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return CommandError(f"command not found: {program}{hint}", 127)
    return CommandError(f"{program}: {error.strerror}{hint}", 126)


def _suggest_interpreter(program: str) -> str:
    """Return a hint for a Python script that was given without its interpreter."""
    if not program.endswith(".py") or not os.path.isfile(program):
        return ""
    return f"; did you mean: python {shlex.quote(program)}?"
