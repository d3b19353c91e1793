"""What `autoinstr doctor -- command` learns from each process of the command.

While the environment names a folder in `_AUTOINSTR_DOCTOR`, every process that the session lives in
says there whether the agent is on and why, and what it saw. Without that variable `report` costs
one look-up."""

from __future__ import annotations

import os
import sys
from typing import Callable

VARIABLE = "_AUTOINSTR_DOCTOR"

_more: dict[str, Callable[[], object]] = {}


def wanted() -> bool:
    """Somebody asks."""
    return VARIABLE in os.environ


def contribute(name: str, facts: Callable[[], object]) -> None:
    """Every later report has what `facts` gives, if it is anything, under `name` in its details."""
    _more[name] = facts


def report(active: bool, reason: str, details: dict[str, object] | None = None) -> None:
    """Write `<folder>/<pid>.json`: pid, ppid, argv, active, reason, details. A later call replaces
    the file. Never raises."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    try:
        more = {name: found for name, facts in _more.items() if (found := facts())}
        _write(folder, active, reason, {**(details or {}), **more})
    except Exception:  # the folder went with the doctor that made it: nobody is left to tell
        pass


def _write(folder: str, active: bool, reason: str, details: dict[str, object]) -> None:
    import json

    from autoinstr.base.redaction import redact_argv

    pid = os.getpid()
    argv = redact_argv(
        list(getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])])
    )
    said = {
        "pid": pid,
        "ppid": os.getppid(),
        "argv": argv,
        "active": active,
        "reason": reason,
        "details": details,
    }
    draft = os.path.join(folder, f".{pid}.{os.urandom(4).hex()}")
    descriptor = os.open(
        draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
        json.dump(said, stream, default=str)
    os.replace(draft, os.path.join(folder, f"{pid}.json"))
