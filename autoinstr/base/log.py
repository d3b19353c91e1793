"""Log lines of the agent, in somebody else's process.

One line is one write on stderr (or to `log_file`), so that the lines of several processes do not
mix; never stdout. structlog is imported at the first line that is really written, through
`wrap_logger`: the host's structlog configuration is neither read nor changed. Without structlog the
same line is made by hand. Nothing here raises, takes a lock or keeps a file open, so a fork at any
moment is safe.

The shape on the console: `autoinstr: <event> key=value … level=warning pid=1234`.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base.file_owner import trusted
from autoinstr.base.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import MutableMapping

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# bytes of one line: POSIX lets writes of at most this much to a pipe not mix (PIPE_BUF on Linux)
LONGEST = 4096
LONGEST_VALUE = 1000  # characters
MOST_KEYS = 1000  # of `once`; beyond that, repeats are the smaller evil

_threshold = LEVELS["warning"]
_format = "console"
_path: str | None = None
_said: dict[str, object] = {}
_bound: Any = None  # the structlog logger, once one was made; False where structlog cannot be used


def configure(level: str = "warning", fmt: str = "console", path: str | None = None) -> None:
    """Set the least serious level written, `console` or `json`, and the file (None: stderr)."""
    global _threshold, _format, _path
    _threshold, _format, _path = LEVELS.get(level, LEVELS["warning"]), fmt, path


def reset() -> None:
    """Forget everything: the settings, what was said once, the logger. For tests."""
    global _bound
    configure()
    _said.clear()
    _bound = None


class Logger:
    """`logger.warning("what happened", key=value)`; nothing it does can fail or reach the user's
    program."""

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
    """The one logger."""
    return _LOGGER


def once(key: str, level: str, event: str, **fields: object) -> None:
    """Log an event the first time that `key` is seen in this process, or in the one it was forked
    from."""
    if LEVELS.get(level, 0) >= _threshold and _first_time(key):
        _log(level, event, fields)


def _first_time(key: str) -> bool:
    mine = object()  # of several threads that come at once, the one whose object stays is the first
    return len(_said) < MOST_KEYS and _said.setdefault(key, mine) is mine


def _log(level: str, event: str, fields: dict[str, object]) -> None:
    if LEVELS[level] < _threshold:
        return
    try:
        line = {**fields, "event": event, "level": level, "pid": os.getpid()}
        logger = _structlog_logger()
        if logger:
            try:
                getattr(logger, level)(**line)
                return
            except Exception:  # a structlog that we do not know; the line is still worth writing
                pass
        Sink().msg(render(None, level, line))
    except Exception:  # a line that cannot be written is lost; the user's program goes on
        pass


def _structlog_logger() -> Any:
    """A logger of structlog's that shares nothing with the host's, or False."""
    global _bound
    if _bound is None:
        # A fork can leave another thread's import unfinished for ever: waiting for it would hang
        # the child.
        spec = getattr(sys.modules.get("structlog"), "__spec__", None)
        if getattr(spec, "_initializing", False):
            return False
        try:
            from structlog import BoundLogger, wrap_logger

            # Everything is given, so that structlog looks up nothing in the configuration that
            # belongs to the host.
            _bound = wrap_logger(
                Sink(),
                processors=[render],
                wrapper_class=BoundLogger,
                context_class=dict,
                cache_logger_on_first_use=True,
            ).bind()
        except Exception:  # missing, too old, or a module of the user's that is called structlog
            _bound = False
    return _bound


def render(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    """The text of a line, without its end; a processor for structlog, and all there is without
    it."""
    shown = {key: _short(value) for key, value in line.items()}
    text = _as_json(shown) if _format == "json" else _as_console(shown)
    if len(text.encode("utf-8", "backslashreplace")) < LONGEST:
        return text
    brief = {key: str(shown[key])[:500] for key in ("event", "level", "pid")} | {"truncated": True}
    return _as_json(brief) if _format == "json" else _as_console(brief)


def _as_console(line: dict[str, Any]) -> str:
    order = [key for key in line if key not in ("event", "level", "pid")] + ["level", "pid"]
    event = "".join(letter if letter.isprintable() else " " for letter in str(line["event"]))
    return f"autoinstr: {event} " + " ".join(f"{key}={_quoted(line[key])}" for key in order)


def _as_json(line: dict[str, Any]) -> str:
    import json
    from time import gmtime, strftime

    head = {
        "timestamp": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()),
        "logger": "autoinstr",
        "event": line["event"],
    }
    return json.dumps({**head, **line}, default=str)


def _short(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    try:
        text = redact_text(
            f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
        )
    except Exception:  # the user's own __str__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not any(letter in " \"'=" for letter in text)
    return text if plain else repr(text)


class Sink:
    """Where finished lines go; under each name that a level has, because structlog calls them by
    level."""

    def msg(self, text: str) -> None:
        """Append one line to the file or to stderr, in one write."""
        data = f"{text}\n".encode("utf-8", "backslashreplace")
        if _path is None or not _append(_path, data):
            _to_stderr(data)

    debug = info = warning = error = msg


def _append(path: str, data: bytes) -> bool:
    # Opened for each line: a daemon that closes all descriptors would otherwise have ours point
    # into one of its own files.
    flags = (
        os.O_WRONLY
        | os.O_APPEND
        | os.O_CREAT
        | os.O_NOFOLLOW
        | os.O_CLOEXEC
        | os.O_NONBLOCK
        | os.O_NOCTTY
    )
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if _first_time("log_file"):
            _to_stderr(
                f"autoinstr: cannot write log_file {path!a}: {error.strerror}; logging to stderr\n".encode()
            )
        return False
    try:
        status = os.fstat(descriptor)
        if not trusted(status) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
            if _first_time("log_file"):
                whose = (
                    f"belongs to user {status.st_uid}"
                    if not trusted(status)
                    else "has another name (a hard link)"
                )
                _to_stderr(f"autoinstr: log_file {path!a} {whose}; logging to stderr\n".encode())
            return False
        return os.write(descriptor, data) == len(data)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _to_stderr(data: bytes) -> None:
    stream: Any = sys.stderr
    if stream is None or getattr(stream, "closed", False):
        return
    native: Any = sys.__stderr__
    if stream is native:
        # Not through the stream: its buffer has a lock, which another thread may hold while this
        # process is forked.
        os.write(stream.fileno(), data)
    else:  # the program has put something of its own there, a notebook's for example
        stream.write(data.decode())
        stream.flush()
