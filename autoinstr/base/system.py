"""Calls of the system that a program cannot replace, count, or receive a signal from.

Tools replace names of os, time, io and posix: a fake file system, a frozen clock, a mock. So the C
functions are taken once, by the gate at the start of the process. They are attributes of an object
and not of a module, because such tools search modules for them.

No function here uses a descriptor below 3. The program's next file would expect such a number, or C
code would write to it."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import autoinstr

if TYPE_CHECKING:
    import posix
    import signal
    import time

    calls, clocks, signals = posix, time, signal

_Object: Any = type(sys.implementation)
# What the gate has kept: functions by module, and the identity of stderr. A process without the
# gate has nothing yet.
_kept: dict[str, Any] = vars(autoinstr).setdefault("_kept", {})


def _take_functions(module: str) -> Any:
    return _Object(**_kept.setdefault(module, dict(vars(sys.modules[module]))))


if not TYPE_CHECKING:
    calls, clocks, signals = map(_take_functions, ("posix", "time", "_signal"))

# Signals that the kernel sends to the thread whose own write causes them: a pipe without a reader,
# a file above RLIMIT_FSIZE, a terminal that belongs to another process group.
_SIGNALS_OF_WRITES = frozenset((signals.SIGPIPE, signals.SIGXFSZ, signals.SIGTTOU))
_ALWAYS_OPEN = 3  # the first number that the standard streams do not have
MAX_NAMES = 100  # that are tried for a temporary folder

Result = TypeVar("Result")


def call_without_signals(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the system; the program gets none of the signals that a write can raise.

    The function raises OSError instead."""
    blocked = signals.pthread_sigmask(signals.SIG_BLOCK, ())
    pending = signals.sigpending()
    try:
        signals.pthread_sigmask(signals.SIG_BLOCK, _SIGNALS_OF_WRITES)
        try:
            return function(*arguments)
        finally:
            # A signal that was pending before is the program's.
            ours = _SIGNALS_OF_WRITES & signals.sigpending() - pending
            if ours:
                signals.sigtimedwait(ours, 0)
    finally:
        signals.pthread_sigmask(signals.SIG_SETMASK, blocked)


def open_descriptor(path: str, flags: int, mode: int = 0o777) -> int:
    """Open a file; its number is at least 3, and no child process inherits it. Raises OSError."""
    return call_above_standard(calls.open, path, flags | calls.O_CLOEXEC, mode)


def call_above_standard(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function that makes descriptors; their numbers are at least 3."""
    fillers = []
    try:
        for number in range(_ALWAYS_OPEN):
            if not _is_open(number):
                # With O_PATH, a write to the number fails as it does without the descriptor.
                fillers.append(calls.open("/", calls.O_PATH | calls.O_CLOEXEC))
        return function(*arguments)
    finally:
        for filler in fillers:
            calls.close(filler)


def identify_descriptor(descriptor: int) -> tuple[int, int] | None:
    """Return device and inode of what the descriptor is; None if it is closed.

    A program may close all descriptors, and a number may become one of its own."""
    try:
        status = calls.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_open(descriptor: int) -> bool:
    try:
        calls.fstat(descriptor)
    except OSError:
        return False
    return True


def read_file(path: str, max_bytes: int = 1 << 24) -> bytes:
    """Return the content of a file, or its first `max_bytes` bytes. Raises OSError."""
    descriptor = open_descriptor(path, calls.O_RDONLY)
    try:
        parts: list[bytes] = []
        while max_bytes > 0:
            part = calls.read(descriptor, min(max_bytes, 1 << 20))
            if not part:
                break
            parts.append(part)
            max_bytes -= len(part)
        return b"".join(parts)
    finally:
        calls.close(descriptor)


def exists(path: str) -> bool:
    """Return whether something has this name, be it a link to nothing."""
    try:
        calls.lstat(path)
    except (OSError, ValueError):
        return False
    return True


def is_folder(path: str) -> bool:
    """Return whether the path is a folder, or a link to one."""
    try:
        return stat.S_ISDIR(calls.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_file(path: str) -> bool:
    """Return whether the path is a regular file, or a link to one."""
    try:
        return stat.S_ISREG(calls.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def get_parent(path: str) -> str:
    """Return the folder of a path, as os.path.dirname does."""
    head = path[: path.rfind("/") + 1]
    return head.rstrip("/") or head


def make_absolute(path: str) -> str:
    """Return the absolute path; `~` is the home directory. Raises OSError without a working
    directory."""
    path = os.path.expanduser(path)
    return os.path.normpath(path if path.startswith("/") else f"{calls.getcwd()}/{path}")


def make_temporary_folder(prefix: str) -> str:
    """Create a folder with mode 0700 in $TMPDIR, or in /tmp, /var/tmp or the working directory.

    Raises OSError."""
    problem: OSError = FileNotFoundError(errno.ENOENT, "no folder for temporary files")
    for parent in (os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp", "."):
        for _ in range(MAX_NAMES if parent else 0):
            try:
                base = parent if parent.startswith("/") else f"{calls.getcwd()}/{parent}"
                folder = f"{base.rstrip('/')}/{prefix}{calls.urandom(4).hex()}"
                calls.mkdir(folder, 0o700)
                return folder
            except FileExistsError:
                continue
            except OSError as error:
                problem = error
                break
    raise problem


# -- stderr ----------------------------------------------------------------------------------------


def identify_stderr() -> tuple[int, int] | None:
    """Return device and inode of descriptor 2; None if it is closed."""
    try:
        status = calls.fstat(2)
    except OSError:
        return None
    return status.st_dev, status.st_ino


_stderr_met = _kept.setdefault("stderr", identify_stderr())


def write_to_stderr(text: str) -> None:
    """Write to stderr, in one write. May raise OSError, and what a stream of the program raises.

    Nothing is written to a descriptor 2 that is not the stderr which this process began with: a
    daemon closes it, and its next file gets the number."""
    stream: Any = sys.stderr
    if stream is None or getattr(stream, "closed", False):
        return
    if stream is sys.__stderr__ or _has_number_of_stderr(stream):
        if _stderr_met is not None and identify_stderr() == _stderr_met:
            if stream is sys.__stderr__:
                # The stream's buffer has a lock, which another thread may hold during a fork.
                call_without_signals(calls.write, 2, text.encode("utf-8", "backslashreplace"))
            else:
                call_without_signals(_write_to_stream, stream, text)
    else:  # the program has replaced stderr, as a notebook does
        call_without_signals(_write_to_stream, stream, text)


def _has_number_of_stderr(stream: Any) -> bool:
    try:
        return bool(stream.fileno() == 2)
    except Exception:  # a stream of the program without a descriptor
        return False


def _write_to_stream(stream: Any, text: str) -> None:
    stream.write(text)
    stream.flush()
