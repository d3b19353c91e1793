"""Read AUTOINSTR and AUTOINSTR_<NAME> from an environment.

Only this folder reads these variables, except that the gate reads AUTOINSTR itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.base.system import calls, clocks
from autoinstr.config.inline_syntax import is_off
from autoinstr.config.options import BY_NAME, OPTIONS
from autoinstr.config.suggestions import find_nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config.inline_syntax import Texts

PREFIX = "AUTOINSTR_"
# Set when the warnings about this environment were logged, so that children do not repeat them.
WARNED_VARIABLE = "_AUTOINSTR_WARNED"
# The run directory that the first process of a run chose.
INHERITED_OUT_VARIABLE = "_AUTOINSTR_DEFAULT_OUT"
# Set by `autoinstr run`: the user asked for this run.
EXPLICIT_RUN_VARIABLE = "_AUTOINSTR_ASKED"


def find_activation(
    environ: Mapping[str, str], xvalue: str | bool | None = None
) -> tuple[str | None, str]:
    """Return the value that turns the agent on and its source; the value is None for off.

    `xvalue` is sys._xoptions.get("autoinstr")."""
    value, source = environ.get("AUTOINSTR"), "environment AUTOINSTR"
    if isinstance(xvalue, str):
        value, source = xvalue, "-X autoinstr"
    elif xvalue and (value is None or is_off(value)):
        value, source = "1", "-X autoinstr"
    if value is None or is_off(value):
        return None, source
    return value, source


def choose_default_out(environ: Mapping[str, str]) -> str:
    """Return the run directory of a run that names none.

    It is the one that the first process of the run chose, or a new name under the working
    directory."""
    inherited = environ.get(INHERITED_OUT_VARIABLE)
    if inherited and os.path.isabs(inherited):
        return inherited
    # The gate chooses a name of the same form, if it runs first.
    characters = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._") else "-"
        for letter in calls.uname().nodename
    )
    host = characters[:64].lstrip(".")
    folder = f"{int(clocks.time())}-{host or 'host'}-{calls.getpid()}-{calls.urandom(4).hex()}"
    try:
        parent = calls.getcwd()
    except OSError:  # the working directory was removed; recordings still need a place
        parent = environ.get("TMPDIR") or "/tmp"
    return os.path.join(parent, "autoinstr-runs", folder)


def read_variables(environ: Mapping[str, str], warnings: list[str]) -> Texts:
    """Return the options that AUTOINSTR_<NAME> sets. An empty variable counts as not set.

    One line in `warnings` lists all variables that are not options."""
    names = {option.environment: option.name for option in OPTIONS}
    texts: Texts = {}
    unknown = []
    for variable in environ:
        if variable in names and environ[variable].strip():
            texts[names[variable]] = (environ[variable], f"environment {variable}")
        elif (
            variable.startswith(PREFIX)
            and variable not in names
            and not _is_service_variable(variable)
        ):
            # compared without the prefix, which all of them share
            near = find_nearest(variable[len(PREFIX) :], BY_NAME)
            hint = f" (did you mean {BY_NAME[near].environment}?)" if near else ""
            unknown.append(variable + hint)
    if unknown:
        warnings.append(f"ignored, because there is no such option: {', '.join(sorted(unknown))}")
    return texts


def _is_service_variable(variable: str) -> bool:
    """Return whether Kubernetes has set the variable.

    Each pod gets such variables for a Service called `autoinstr` or `autoinstr-…`."""
    import re

    port = r"PORT(_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)?"
    return (
        re.fullmatch(rf"AUTOINSTR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|{port})", variable)
        is not None
    )
