"""Write the agent's log lines inside the user's process.

Each line is one write to stderr, or to `log_file`, so lines of several processes do not mix.
Nothing is written to stdout. No function here raises, takes a lock or keeps a file open, so the
process may fork at any moment.

structlog is imported at the first line. The logger comes from `wrap_logger`: it does not touch the
program's structlog configuration. Without structlog the same line is formatted here.

A console line is `autoinstr: <event> key=value … level=warning pid=1234`.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base.file_owner import is_trusted
from autoinstr.base.libraries import is_library_alone
from autoinstr.base.redaction import redact_text
from autoinstr.base.system import (
    call_without_signals,
    calls,
    clocks,
    open_descriptor,
    write_to_stderr,
)

if TYPE_CHECKING:
    from collections.abc import MutableMapping

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# POSIX guarantees that writes to a pipe of at most PIPE_BUF bytes do not mix; 4096 on Linux
MAX_LINE_BYTES = 4096
MAX_VALUE_CHARS = 1000
MAX_BRIEF_CHARS = 500  # of a value in a line that was too long
# Packages that structlog imports if they are there.
_OPTIONAL_OF_STRUCTLOG = ("rich", "better_exceptions", "colorama")
MAX_ONCE_KEYS = 1000  # of `write_once`; events with further keys are not logged

_threshold = LEVELS["warning"]
_format = "console"
_path: str | None = None
_written_keys: dict[str, object] = {}
_structlog: Any = None  # None: not tried yet; False: structlog cannot be used
_avoids_imports = False


def configure(level: str = "warning", fmt: str = "console", path: str | None = None) -> None:
    """Set the lowest level to write, the format (`console`, `json`) and the file (None: stderr)."""
    global _threshold, _format, _path
    _threshold, _format, _path = LEVELS.get(level, LEVELS["warning"]), fmt, path


def avoid_imports(on: bool) -> None:
    """Write lines without structlog, unless it is imported."""
    global _avoids_imports
    _avoids_imports = on


def is_written(level: str) -> bool:
    """Return whether events of this level are written."""
    return LEVELS.get(level, 0) >= _threshold


def reset() -> None:
    """Restore the initial settings and forget which events were logged. For tests."""
    global _structlog
    configure()
    _written_keys.clear()
    _structlog = None


class Logger:
    """Log events: `logger.warning("what happened", key=value)`. No method raises."""

    __slots__ = ()

    def debug(self, event: str, **fields: object) -> None:
        _log("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        _log("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        _log("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        _log("error", event, fields)


_LOGGER = Logger()


def get_logger() -> Logger:
    """Return the logger of the process."""
    return _LOGGER


def write_once(key: str, level: str, event: str, **fields: object) -> None:
    """Log an event unless this process, or the process it was forked from, has logged `key`."""
    if is_written(level) and _is_first(key):
        _log(level, event, fields)


def _is_first(key: str) -> bool:
    marker = object()  # of several threads at once, the one whose object is stored is the first
    return len(_written_keys) < MAX_ONCE_KEYS and _written_keys.setdefault(key, marker) is marker


def _log(level: str, event: str, fields: dict[str, object]) -> None:
    if LEVELS[level] < _threshold:
        return
    try:
        line = {**fields, "event": event, "level": level, "pid": calls.getpid()}
        logger = _find_structlog_logger()
        if logger:
            try:
                getattr(logger, level)(**line)
                return
            except Exception:  # an incompatible structlog: write the line without it
                pass
        LineSink().msg(render_line(None, level, line))
    except Exception:  # the line is lost; the user's program goes on
        pass


def _find_structlog_logger() -> Any:
    """Return a structlog logger that shares nothing with the program's, or False."""
    global _structlog
    if _structlog is None:
        # After a fork, another thread's import of structlog may never end: to wait would hang.
        spec = getattr(sys.modules.get("structlog"), "__spec__", None)
        if _avoids_imports or getattr(spec, "_initializing", False):
            return False
        if not is_library_alone("structlog", _OPTIONAL_OF_STRUCTLOG):
            _structlog = False
            return _structlog
        try:
            from structlog import BoundLogger, wrap_logger

            # All settings are given, so structlog reads none from the program's configuration.
            _structlog = wrap_logger(
                LineSink(),
                processors=[render_line],
                wrapper_class=BoundLogger,
                context_class=dict,
                cache_logger_on_first_use=True,
            ).bind()
        except Exception:  # missing, too old, or a module of the user's with this name
            _structlog = False
    return _structlog


def render_line(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    """Return the text of a log line without a newline. It has a structlog processor's arguments.

    A line longer than MAX_LINE_BYTES keeps event, level and pid only."""
    values = {key: _shorten(value) for key, value in line.items()}
    text = _format_json(values) if _format == "json" else _format_console(values)
    if len(text.encode("utf-8", "backslashreplace")) < MAX_LINE_BYTES:
        return text
    brief = {key: str(values[key])[:MAX_BRIEF_CHARS] for key in ("event", "level", "pid")}
    brief_line = {**brief, "truncated": True}
    return _format_json(brief_line) if _format == "json" else _format_console(brief_line)


def _format_console(line: dict[str, Any]) -> str:
    order = [key for key in line if key not in ("event", "level", "pid")] + ["level", "pid"]
    event = "".join(letter if letter.isprintable() else " " for letter in str(line["event"]))
    return f"autoinstr: {event} " + " ".join(f"{key}={_quote(line[key])}" for key in order)


def _format_json(line: dict[str, Any]) -> str:
    import json

    head = {
        "timestamp": clocks.strftime("%Y-%m-%dT%H:%M:%SZ", clocks.gmtime(clocks.time())),
        "logger": "autoinstr",
        "event": line["event"],
    }
    return json.dumps({**head, **line}, default=str)


def _shorten(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    try:
        text = redact_text(
            f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
        )
    except Exception:  # raised by the __str__ of a user's class
        text = f"<{type(value).__name__}>"
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"


def _quote(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not any(letter in " \"'=" for letter in text)
    return text if is_plain else repr(text)


class LineSink:
    """Write finished lines. It has one method for each level, because structlog calls those."""

    def msg(self, text: str) -> None:
        """Append one line to the log file or stderr, in one write."""
        line = f"{text}\n"
        if _path is None or not _append(_path, line.encode("utf-8", "backslashreplace")):
            write_to_stderr(line)

    debug = info = warning = error = msg


def _append(path: str, data: bytes) -> bool:
    """Append to the log file; return False if that failed."""
    # The file is opened for each line. A daemon closes all descriptors, and an open one of ours
    # could then refer to a file of the program.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = open_descriptor(path, flags, 0o600)
    except OSError as error:
        if _is_first("log_file"):
            message = f"cannot write log_file {path!a}: {error.strerror}; logging to stderr"
            write_to_stderr(f"autoinstr: {message}\n")
        return False
    try:
        status = calls.fstat(descriptor)
        problem = ""
        if not is_trusted(status):
            problem = f"belongs to user {status.st_uid}"
        elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            problem = "has another name (a hard link)"
        if problem:
            if _is_first("log_file"):
                write_to_stderr(f"autoinstr: log_file {path!a} {problem}; logging to stderr\n")
            return False
        return bool(call_without_signals(calls.write, descriptor, data) == len(data))
    except OSError:
        return False
    finally:
        calls.close(descriptor)
