r"""The configuration of this process: every option, typed, with the source of its value.

Precedence, highest first: the value of -X autoinstr or AUTOINSTR, then AUTOINSTR_<NAME>, then the TOML file, then the default. This
is the only module that reads AUTOINSTR_* (the gate reads AUTOINSTR alone).

The grammar of the value of -X autoinstr and AUTOINSTR: `1`, `on`, `yes`, `true` and nothing at all are plain on; what ends in
`.toml` and has no `=` is a file; else pieces are split at commas, and a piece that does not start with `<option>=` continues the
value before it; `\,` is a literal comma.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.errors import ConfigError
from autoinstr.kinds import OFF_WORDS, ON_WORDS
from autoinstr.options import BY_NAME, OPTIONS, PER_EMITTER
from autoinstr.texts import BadValue, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    Texts = dict[str, tuple[str, str]]  # option name -> (text, source)

INHERITED_OUT = "_AUTOINSTR_DEFAULT_OUT"  # the run directory that the first process of a run chose

__all__ = ["Config", "activation", "default_out", "load", "log_settings"]


class Config:
    """One attribute an option, fixed after construction. None means: not set (`when_for` and its like say what that is for an emitter)."""

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

    def to_environ(self) -> dict[str, str]:
        """The environment that gives every child this configuration, wherever it runs: flat, with absolute paths."""
        flat = {"AUTOINSTR": "1"}
        if self.sources["out"] == "default":
            flat[INHERITED_OUT] = self.out
        for option in OPTIONS:
            if self.sources[option.name] != "default":
                flat[option.environment] = option.kind.dump(getattr(self, option.name))
        return flat


def activation(environ: Mapping[str, str], xvalue: str | bool | None = None) -> tuple[str | None, str]:
    """The value that turns the agent on and its source; None when it is off. `xvalue` is sys._xoptions.get("autoinstr")."""
    value, source = environ.get("AUTOINSTR"), "environment AUTOINSTR"
    if isinstance(xvalue, str):
        value, source = xvalue, "-X autoinstr"
    elif xvalue and (value is None or _is_off(value)):
        value, source = "1", "-X autoinstr"
    if value is None or _is_off(value):
        return None, source
    return value, source


def _is_off(value: str) -> bool:
    return value.split(",", 1)[0].strip().lower() in ("", *OFF_WORDS)


def load(environ: Mapping[str, str], xvalue: str | bool | None = None, flags: Mapping[str, str] | None = None) -> Config:
    """What `environ`, the value of -X autoinstr and, above both, the flags of `autoinstr run` ask for. Raises ConfigError."""
    flagged = {name: (text, BY_NAME[name].flag) for name, text in (flags or {}).items()}
    warnings: list[str] = []
    value, source = activation(environ, xvalue)
    pieces = _read_value(value or "", source, warnings)
    named = _read_names(environ, warnings)
    in_file: Texts = {}
    custom_targets: list[dict[str, Any]] = []
    chosen = flagged.get("config") or pieces.get("config") or named.get("config")
    if chosen:
        from autoinstr.configfile import read_file

        in_file, custom_targets = read_file(_parse("config", *chosen), chosen[1])
    texts = {**in_file, **named, **pieces, **flagged}
    values = {option.name: _parse(option.name, *texts[option.name]) if option.name in texts else option.default for option in OPTIONS}
    if "out" not in texts:
        values["out"] = default_out(environ)
    sources = {option.name: texts[option.name][1] if option.name in texts else "default" for option in OPTIONS}
    return Config(values, sources=sources, warnings=warnings, custom_targets=custom_targets)


def log_settings(environ: Mapping[str, str], xvalue: str | bool | None = None) -> tuple[str, str, str | None]:
    """(level, format, file) as far as they can be read without a file. Never raises: with them the errors of `load` are logged."""
    try:
        value, source = activation(environ, xvalue)
        pieces = _read_value(value or "", source, [])
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
    """The run directory of a run that names none: the one that the first process chose, or a new name under the working directory."""
    inherited = environ.get(INHERITED_OUT)
    if inherited and os.path.isabs(inherited):
        return inherited
    from time import time

    # The same shape as the gate's, which chooses the name wherever it runs first.
    allowed = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._") else "-" for letter in os.uname().nodename)
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
        raise ConfigError(bad.problem, option=name, value=text, source=source, suggestion=bad.near) from None


def _pieces(text: str) -> list[str]:
    r"""Split at commas that no backslash precedes, keeping `\,` as it is: an option that is a list splits once more."""
    pieces: list[str] = []
    for part in text.split(","):
        if pieces and pieces[-1].endswith("\\"):
            pieces[-1] += "," + part
        else:
            pieces.append(part)
    return pieces


def _read_value(value: str, source: str, warnings: list[str]) -> Texts:
    text = value.strip()
    if text.lower() in ON_WORDS or _is_off(text):
        return {}
    if text.endswith(".toml") and "=" not in text:
        return {"config": (text.replace("\\,", ","), source)}
    found: dict[str, str] = {}
    name = ""
    for piece in _pieces(text):
        key, equals, rest = (part.strip() for part in piece.partition("="))
        if equals and key in BY_NAME:
            repeated = key in found and BY_NAME[key].kind.is_list
            found[key] = f"{found[key]},{rest}" if repeated else rest
            name = key
        elif name and BY_NAME[name].kind.has_commas:
            found[name] += f",{piece}"
            meant = nearest(key, BY_NAME) if equals and key.isidentifier() else None
            if meant:
                warnings.append(f"{piece.strip()!a} in {source} was taken as part of {name}; for an option of its own write {meant}=")
        elif key.lower() in ON_WORDS and not found and not equals:
            continue
        else:
            raise _not_an_option(key, rest if equals else None, source)
    plain = {key: text if BY_NAME[key].kind.is_list else text.replace("\\,", ",") for key, text in found.items()}
    return {key: (text, source) for key, text in plain.items()}


def _not_an_option(key: str, rest: str | None, source: str) -> ConfigError:
    near = nearest(key, BY_NAME)
    if rest is not None:
        return ConfigError("there is no such option", option=key, value=rest, source=source, suggestion=near and f"{near}={rest}")
    # A lone word is often the value of an option that everybody knows by its values: AUTOINSTR=manual.
    owner = next((option.name for option in OPTIONS if key.lower() in getattr(option.kind, "words", ())), None)
    suggestion = f"{owner}={key.lower()}" if owner else near and f"{near}="
    return ConfigError("is not on, off, a .toml file or option=value", option="autoinstr", value=key, source=source, suggestion=suggestion)


def _read_names(environ: Mapping[str, str], warnings: list[str]) -> Texts:
    """AUTOINSTR_<NAME>; an empty one counts as not set. One warning names all that mean nothing."""
    known = {option.environment: option.name for option in OPTIONS}
    found: Texts = {}
    unknown = []
    for variable in environ:
        if variable in known and environ[variable].strip():
            found[known[variable]] = (environ[variable], f"environment {variable}")
        elif variable.startswith("AUTOINSTR_") and variable not in known and not _is_service_variable(variable):
            near = nearest(variable[len("AUTOINSTR_") :], BY_NAME)  # without the prefix, in which all are alike
            unknown.append(variable + (f" (did you mean {BY_NAME[near].environment}?)" if near else ""))
    if unknown:
        warnings.append(f"ignored, because there is no such option: {', '.join(sorted(unknown))}")
    return found


def _is_service_variable(variable: str) -> bool:
    """Kubernetes tells every pod of a Service called `autoinstr` or `autoinstr-…` where it is: that is nobody's mistake."""
    import re

    port = r"PORT(_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)?"
    return re.fullmatch(rf"AUTOINSTR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|{port})", variable) is not None
