"""Configuration files: TOML with the options under `[autoinstr]`.

A file decides where recordings are written and what is patched, so it must be one that nobody else
can rewrite."""

from __future__ import annotations

import importlib
import os
import stat
from typing import Any

from autoinstr.base.errors import ConfigError
from autoinstr.base.file_owner import trusted
from autoinstr.config.options import BY_NAME
from autoinstr.config.suggestions import BadValue, nearest

LARGEST = 1 << 20  # bytes; a configuration is a page of text


def read_file(path: str, source: str) -> tuple[dict[str, tuple[str, str]], list[dict[str, Any]]]:
    """The options of the file as name -> (text, source), and its custom_target tables. Raises
    ConfigError."""
    document = _parse(_read_bytes(path, source), path, source)
    where = f"file {path}"
    table = document.get("autoinstr")
    if not isinstance(table, dict):
        stray = next((key for key in document if key in BY_NAME), None)
        if stray:
            raise ConfigError("stands outside the table [autoinstr]", option=stray, source=where)
        near = nearest(
            "autoinstr", [key for key, item in document.items() if isinstance(item, dict)]
        )
        raise ConfigError(
            "has no table [autoinstr]" + (f", only [{near}]" if near else ""),
            option="config",
            value=path,
            source=source,
        )
    rows = table.pop("custom_target", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(
            "must be tables, written [[autoinstr.custom_target]]",
            option="custom_target",
            source=where,
        )
    found = {}
    for key, value in table.items():
        option = BY_NAME.get(key)
        if option is None or not option.in_toml:
            known = [name for name, each in BY_NAME.items() if each.in_toml] + ["custom_target"]
            problem = "is not an option" if option is None else "cannot stand in a file"
            raise ConfigError(
                problem,
                option=key,
                source=where,
                suggestion=nearest(key, known) if option is None else None,
            )
        try:
            found[key] = (option.kind.from_toml(value), where)
        except BadValue as bad:
            raise ConfigError(
                bad.problem, option=key, value=str(value), source=where, suggestion=bad.near
            ) from None
    return found, rows


def _read_bytes(path: str, source: str) -> bytes:
    def refuse(problem: str, suggestion: str | None = None) -> ConfigError:
        return ConfigError(
            problem, option="config", value=path, source=source, suggestion=suggestion
        )

    try:
        # O_NONBLOCK: opening a FIFO would otherwise hang the user's program before fstat can tell
        # what it is.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise refuse("there is no such file", _neighbour(path)) from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refuse("is not a regular file")
        if not trusted(status):
            raise refuse(
                f"belongs to user {status.st_uid}, and must belong to this user ({os.geteuid()}) or root; copy it, or chown it"
            )
        # A private group (its number is its only user's) has no members but the owner: many systems
        # make such files group-writable.
        shared_group = status.st_mode & stat.S_IWGRP and status.st_gid != status.st_uid
        if status.st_mode & stat.S_IWOTH or shared_group:
            raise refuse(
                f"others can write to it (mode {stat.S_IMODE(status.st_mode):04o}); run chmod go-w on it"
            )
        if status.st_size > LARGEST:
            raise refuse(f"is larger than {LARGEST} bytes")
        return os.read(descriptor, LARGEST + 1)
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _neighbour(path: str) -> str | None:
    """A file of the same folder with nearly the same name."""
    folder, name = os.path.split(path)
    try:
        near = nearest(
            name, [entry for entry in os.listdir(folder or ".") if entry.endswith(".toml")]
        )
    except OSError:
        return None
    return os.path.join(folder, near) if near else None


def _parse(data: bytes, path: str, source: str) -> dict[str, Any]:
    loads = _loads()
    if loads is None:
        raise ConfigError(
            "needs the package tomli on Python older than 3.11",
            option="config",
            value=path,
            source=source,
        )
    try:
        document: dict[str, Any] = loads(data.decode())
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise ConfigError(
            f"is not TOML: {error}", option="config", value=path, source=source
        ) from None
    return document


def _loads() -> Any:
    for name in ("tomllib", "tomli"):
        try:
            return importlib.import_module(name).loads
        except ImportError:
            continue
    return None
