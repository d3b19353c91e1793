"""Pass the state of each process of a command to `autoinstr doctor -- command`.

The doctor names a folder in the environment variable `_AUTOINSTR_DOCTOR`. Each process with a
session writes there whether the agent is on, the reason, and further details. Without the variable
a report costs one look-up."""

from __future__ import annotations

import os
import sys
from typing import Callable

from autoinstr.base.system import calls, open_descriptor

DOCTOR_VARIABLE = "_AUTOINSTR_DOCTOR"

_detail_readers: dict[str, Callable[[], object]] = {}


def is_requested() -> bool:
    """Return whether a doctor waits for reports."""
    return DOCTOR_VARIABLE in os.environ


def add_details(name: str, read_details: Callable[[], object]) -> None:
    """Add the result of `read_details()` to the details of later reports, unless it is empty."""
    _detail_readers[name] = read_details


def report(active: bool, reason: str, details: dict[str, object] | None = None) -> None:
    """Write pid, ppid, argv, active, reason and details to `<folder>/<pid>.json`.

    A later call replaces the file. Never raises."""
    folder = os.environ.get(DOCTOR_VARIABLE)
    if not folder:
        return
    try:
        extra = {name: content for name, read in _detail_readers.items() if (content := read())}
        _write(folder, active, reason, {**(details or {}), **extra})
    except Exception:  # the doctor has ended and removed the folder: nobody reads the report
        pass


def _write(folder: str, active: bool, reason: str, details: dict[str, object]) -> None:
    import json

    from autoinstr.base.redaction import redact_argv

    pid = calls.getpid()
    argv = redact_argv(
        list(getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])])
    )
    content = {
        "pid": pid,
        "ppid": calls.getppid(),
        "argv": argv,
        "active": active,
        "reason": reason,
        "details": details,
    }
    draft = f"{folder}/.{pid}.{calls.urandom(4).hex()}"
    descriptor = open_descriptor(
        draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        text = json.dumps(content, default=str).encode("utf-8", "backslashreplace")
        while text:
            text = text[calls.write(descriptor, text) :]
    finally:
        calls.close(descriptor)
    calls.replace(draft, f"{folder}/{pid}.json")
