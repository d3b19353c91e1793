"""Read a configuration file: TOML with the options in the table `[autoinstr]`.

The file decides where recordings are written and what is patched. So it is refused if another user
could change it."""

from __future__ import annotations

import importlib
import os
import stat
from typing import Any

from autoinstr.base.errors import ConfigError
from autoinstr.base.file_owner import is_trusted
from autoinstr.base.libraries import is_library
from autoinstr.base.system import calls, open_descriptor
from autoinstr.config.options import BY_NAME
from autoinstr.config.suggestions import BadValue, find_nearest

MAX_FILE_BYTES = 1 << 20
CUSTOM_TARGET = "custom_target"


def read_file(path: str, source: str) -> tuple[dict[str, tuple[str, str]], list[dict[str, Any]]]:
    """Return the options of the file as name -> (text, source), and its custom_target tables.

    `source` tells where the path came from. Raises ConfigError."""
    document = _parse(_read_bytes(path, source), path, source)
    file_source = f"file {path}"
    table = document.get("autoinstr")
    if not isinstance(table, dict):
        raise _make_table_error(document, path, source)
    rows = table.pop(CUSTOM_TARGET, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(
            "must be tables, written [[autoinstr.custom_target]]",
            option=CUSTOM_TARGET,
            source=file_source,
        )
    texts = {
        key: (_read_option(key, value, file_source), file_source) for key, value in table.items()
    }
    return texts, rows


def _make_table_error(document: dict[str, Any], path: str, source: str) -> ConfigError:
    """Return the error of a file without the table [autoinstr]."""
    stray_option = next((key for key in document if key in BY_NAME), None)
    if stray_option:
        return ConfigError(
            "stands outside the table [autoinstr]", option=stray_option, source=f"file {path}"
        )
    tables = [key for key, item in document.items() if isinstance(item, dict)]
    near = find_nearest("autoinstr", tables)
    return ConfigError(
        "has no table [autoinstr]" + (f", only [{near}]" if near else ""),
        option="config",
        value=path,
        source=source,
    )


def _read_option(key: str, value: Any, source: str) -> str:
    """Return the text of an option. Raises ConfigError."""
    option = BY_NAME.get(key)
    if option is None:
        names = [name for name, row in BY_NAME.items() if row.in_toml]
        suggestion = find_nearest(key, [*names, CUSTOM_TARGET])
        raise ConfigError("is not an option", option=key, source=source, suggestion=suggestion)
    if not option.in_toml:
        raise ConfigError("cannot stand in a file", option=key, source=source)
    try:
        return option.value_type.from_toml(value)
    except BadValue as bad:
        raise ConfigError(
            bad.problem, option=key, value=str(value), source=source, suggestion=bad.suggestion
        ) from None


def _read_bytes(path: str, source: str) -> bytes:
    def refuse(problem: str, suggestion: str | None = None) -> ConfigError:
        return ConfigError(
            problem, option="config", value=path, source=source, suggestion=suggestion
        )

    try:
        # O_NONBLOCK: to open a FIFO without it would hang the user's program.
        descriptor = open_descriptor(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise refuse("there is no such file", _find_similar_file(path)) from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    try:
        status = calls.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refuse("is not a regular file")
        if not is_trusted(status):
            raise refuse(
                f"belongs to user {status.st_uid}, and must belong to this user"
                f" ({calls.geteuid()}) or root; copy it, or chown it"
            )
        # A private group has the number of its only member, the owner. Many systems make files of
        # such a group group-writable.
        has_shared_group = status.st_mode & stat.S_IWGRP and status.st_gid != status.st_uid
        if status.st_mode & stat.S_IWOTH or has_shared_group:
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise refuse(f"others can write to it (mode {mode}); run chmod go-w on it")
        if status.st_size > MAX_FILE_BYTES:
            raise refuse(f"is larger than {MAX_FILE_BYTES} bytes")
        return calls.read(descriptor, MAX_FILE_BYTES + 1)
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    finally:
        calls.close(descriptor)


def _find_similar_file(path: str) -> str | None:
    """Return a TOML file of the same folder with a similar name, or None."""
    folder, name = os.path.split(path)
    try:
        near = find_nearest(
            name, [entry for entry in calls.listdir(folder or ".") if entry.endswith(".toml")]
        )
    except OSError:
        return None
    return os.path.join(folder, near) if near else None


def _parse(data: bytes, path: str, source: str) -> dict[str, Any]:
    loads = _find_toml_parser()
    if loads is None:
        raise ConfigError(
            "needs the package tomli on Python older than 3.11",
            option="config",
            value=path,
            source=source,
        )
    try:
        document: dict[str, Any] = loads(data.decode())
    except ValueError as error:  # base class of TOMLDecodeError and UnicodeDecodeError
        raise ConfigError(
            f"is not TOML: {error}", option="config", value=path, source=source
        ) from None
    return document


def _find_toml_parser() -> Any:
    for name in ("tomllib", "tomli"):
        if is_library(name):
            return importlib.import_module(name).loads
    return None
