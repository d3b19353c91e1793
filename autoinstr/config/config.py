"""The configuration of this process: every option, typed, with the source of its value.

Precedence, highest first: the value of -X autoinstr or AUTOINSTR, then AUTOINSTR_<NAME>, then the
TOML file, then the default. This is the only module that reads AUTOINSTR_* (the gate reads
AUTOINSTR alone)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import ConfigError
from autoinstr.config.inline_syntax import is_off, read_value
from autoinstr.config.options import BY_NAME, OPTIONS, PER_EMITTER
from autoinstr.config.suggestions import BadValue, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config.inline_syntax import Texts

# set once the warnings of this environment were logged: its children need not repeat them
WARNED = "_AUTOINSTR_WARNED"
INHERITED_OUT = "_AUTOINSTR_DEFAULT_OUT"  # the run directory that the first process of a run chose
ASKED = "_AUTOINSTR_ASKED"  # the run was begun by `autoinstr run`

__all__ = ["Config", "activation", "default_out", "load", "log_settings"]


class Config:
    """One attribute an option, fixed after construction. None means: not set (`when_for` and its
    like say what that is for an emitter)."""

    __slots__ = (*BY_NAME, "custom_targets", "sources", "warnings")

    out: str
    emitter: tuple[str, ...]
    when: str | None
    window: tuple[int, int | None] | None
    name: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    targets: tuple[str, ...]
    streams: str | None
    domain: str
    attributes: bool
    profiler: dict[str, str]
    capture: str
    mspti: bool
    durability: str
    max_mb: int
    full: str
    mode: int
    log: str
    log_format: str
    log_file: str | None
    config: str | None
    sources: dict[str, str]
    warnings: list[str]
    custom_targets: list[dict[str, Any]]

    def __init__(self, values: Mapping[str, Any], **rest: Any) -> None:
        for name, value in {**values, **rest}.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Config is not changed: {name}")

    def when_for(self, emitter: str) -> str:
        """always, profiling or manual for this emitter."""
        return self.when or PER_EMITTER.get(emitter, PER_EMITTER["recorder"])["when"]

    def name_for(self, emitter: str) -> str:
        """class, path or path:class for this emitter."""
        return self.name or PER_EMITTER.get(emitter, PER_EMITTER["recorder"])["name"]

    def streams_for(self, emitter: str) -> str:
        """off, steps or on for this emitter."""
        return self.streams or PER_EMITTER.get(emitter, PER_EMITTER["recorder"])["streams"]

    def chosen(self) -> dict[str, str]:
        """The options that were set, wherever, as texts that parse back."""
        return {
            option.name: option.kind.dump(getattr(self, option.name))
            for option in OPTIONS
            if self.sources[option.name] != "default"
        }

    def to_environ(self) -> dict[str, str]:
        """The environment that gives every child this configuration, wherever it runs: flat, with
        absolute paths."""
        flat = {"AUTOINSTR": "1"}
        if self.sources["out"] == "default":
            flat[INHERITED_OUT] = self.out
        return {**flat, **{BY_NAME[name].environment: text for name, text in self.chosen().items()}}


def activation(
    environ: Mapping[str, str], xvalue: str | bool | None = None
) -> tuple[str | None, str]:
    """The value that turns the agent on and its source; None when it is off. `xvalue` is
    sys._xoptions.get("autoinstr")."""
    value, source = environ.get("AUTOINSTR"), "environment AUTOINSTR"
    if isinstance(xvalue, str):
        value, source = xvalue, "-X autoinstr"
    elif xvalue and (value is None or is_off(value)):
        value, source = "1", "-X autoinstr"
    if value is None or is_off(value):
        return None, source
    return value, source


def load(
    environ: Mapping[str, str],
    xvalue: str | bool | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """What `environ`, the value of -X autoinstr and, above both, the flags of `autoinstr run` ask
    for. Raises ConfigError."""
    flagged = {name: (text, BY_NAME[name].flag) for name, text in (flags or {}).items()}
    warnings: list[str] = []
    value, source = activation(environ, xvalue)
    pieces = read_value(value or "", source, warnings)
    named = _read_names(environ, warnings)
    in_file: Texts = {}
    custom_targets: list[dict[str, Any]] = []
    chosen = flagged.get("config") or pieces.get("config") or named.get("config")
    if chosen:
        from autoinstr.config.file import read_file

        in_file, custom_targets = read_file(_parse("config", *chosen), chosen[1])
    texts = {**in_file, **named, **pieces, **flagged}
    values = {
        option.name: _parse(option.name, *texts[option.name])
        if option.name in texts
        else option.default
        for option in OPTIONS
    }
    if "out" in texts:
        _check_folder(values["out"], *texts["out"])
    else:
        values["out"] = default_out(environ)
    if WARNED in environ:
        warnings.clear()
    sources = {
        option.name: texts[option.name][1] if option.name in texts else "default"
        for option in OPTIONS
    }
    return Config(values, sources=sources, warnings=warnings, custom_targets=custom_targets)


def log_settings(
    environ: Mapping[str, str], xvalue: str | bool | None = None
) -> tuple[str, str, str | None]:
    """(level, format, file) as far as they can be read without a file. Never raises: with them the
    errors of `load` are logged."""
    try:
        value, source = activation(environ, xvalue)
        pieces = read_value(value or "", source, [])
    except ConfigError:
        pieces = {}
    texts = {**_read_names(environ, []), **pieces}
    settings = []
    for name in ("log", "log_format", "log_file"):
        try:
            settings.append(_parse(name, *texts[name]) if name in texts else BY_NAME[name].default)
        except ConfigError:
            settings.append(BY_NAME[name].default)
    return settings[0], settings[1], settings[2]


def default_out(environ: Mapping[str, str]) -> str:
    """The run directory of a run that names none: the one that the first process chose, or a new
    name under the working directory."""
    inherited = environ.get(INHERITED_OUT)
    if inherited and os.path.isabs(inherited):
        return inherited
    from time import time

    # The same shape as the gate's, which chooses the name wherever it runs first.
    allowed = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._") else "-"
        for letter in os.uname().nodename
    )
    host = allowed[:64].lstrip(".")
    folder = f"{int(time())}-{host or 'host'}-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        here = os.getcwd()
    except OSError:  # the working directory was removed; recordings still need a place
        here = environ.get("TMPDIR") or "/tmp"
    return os.path.join(here, "autoinstr-runs", folder)


def _parse(name: str, text: str, source: str) -> Any:
    try:
        return BY_NAME[name].kind.parse(text)
    except BadValue as bad:
        raise ConfigError(
            bad.problem, option=name, value=text, source=source, suggestion=bad.near
        ) from None


def _check_folder(path: str, text: str, source: str) -> None:
    """A run directory that exists as something else, or below something else, is a mistake; one
    that cannot be written is not."""
    place = path
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        problem = (
            "is a file, and must be a directory"
            if place == path
            else f"{place!a} is a file, and must be a directory"
        )
        raise ConfigError(
            problem, option="out", value=text, source=source, suggestion=f"{place}-runs"
        )


def _read_names(environ: Mapping[str, str], warnings: list[str]) -> Texts:
    """AUTOINSTR_<NAME>; an empty one counts as not set. One warning names all that mean nothing."""
    known = {option.environment: option.name for option in OPTIONS}
    found: Texts = {}
    unknown = []
    for variable in environ:
        if variable in known and environ[variable].strip():
            found[known[variable]] = (environ[variable], f"environment {variable}")
        elif (
            variable.startswith("AUTOINSTR_")
            and variable not in known
            and not _is_service_variable(variable)
        ):
            near = nearest(
                variable[len("AUTOINSTR_") :], BY_NAME
            )  # without the prefix, in which all are alike
            unknown.append(
                variable + (f" (did you mean {BY_NAME[near].environment}?)" if near else "")
            )
    if unknown:
        warnings.append(f"ignored, because there is no such option: {', '.join(sorted(unknown))}")
    return found


def _is_service_variable(variable: str) -> bool:
    """Kubernetes tells every pod of a Service called `autoinstr` or `autoinstr-…` where it is: that
    is nobody's mistake."""
    import re

    port = r"PORT(_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)?"
    return (
        re.fullmatch(rf"AUTOINSTR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|{port})", variable)
        is not None
    )
