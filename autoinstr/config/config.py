"""The configuration of a process: the value of each option, and where it came from.

Precedence, highest first: the flags of `autoinstr run`, the value of -X autoinstr or AUTOINSTR,
AUTOINSTR_<NAME>, the TOML file, the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import ConfigError
from autoinstr.base.system import exists, get_parent, is_folder
from autoinstr.config.environment import (
    INHERITED_OUT_VARIABLE,
    WARNED_VARIABLE,
    choose_default_out,
    find_activation,
    read_variables,
)
from autoinstr.config.inline_syntax import parse_inline
from autoinstr.config.options import BY_NAME, OPTIONS
from autoinstr.config.suggestions import BadValue
from autoinstr.emitters.registry import METRICS, find_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config.inline_syntax import Texts


class Config:
    """The options of a process: one attribute for each, fixed after construction.

    None means that the option is not set. Then `get_when`, `get_name` and `get_streams` return
    the default of an emitter. `sources` has the source of each option, `warnings` lines for the
    log, and `custom_targets` the tables of the TOML file."""

    __slots__ = (*BY_NAME, "custom_targets", "sources", "warnings")

    out: str
    emitter: tuple[str, ...]
    when: str | None
    window: tuple[int, int | None] | None
    name: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    targets: tuple[str, ...]
    compiled: str
    streams: str | None
    domain: str
    attributes: bool
    profiler: dict[str, str]
    capture: str
    mspti: bool
    durability: str
    metrics: str
    metrics_address: tuple[str, int]
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

    def __init__(self, values: Mapping[str, Any], **extra: Any) -> None:
        for name, value in {**values, **extra}.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Config is not changed: {name}")

    @property
    def counts_steps(self) -> bool:
        """Whether steps are counted: for `window`, or for `autoinstr ctl window`."""
        return self.window is not None or self.when == "manual"

    def get_metrics(self) -> str:
        """Return off, prometheus or otlp; the emitter `metrics` alone means prometheus."""
        return "prometheus" if self.metrics == "off" and METRICS in self.emitter else self.metrics

    def get_when(self, emitter: str) -> str:
        """Return always, profiling or manual for this emitter."""
        return self.when or find_defaults(emitter).when

    def get_name(self, emitter: str) -> str:
        """Return class, path or path:class for this emitter."""
        return self.name or find_defaults(emitter).name

    def get_streams(self, emitter: str) -> str:
        """Return off, steps or on for this emitter."""
        return self.streams or find_defaults(emitter).streams

    def dump_set_options(self) -> dict[str, str]:
        """Return the options that were set anywhere, as texts that parse to their values."""
        return {
            option.name: option.value_type.dump(getattr(self, option.name))
            for option in OPTIONS
            if self.sources[option.name] != "default"
        }

    def to_environ(self) -> dict[str, str]:
        """Return the environment that gives this configuration to every child.

        Paths are absolute, so that a child may have another working directory."""
        environ = {"AUTOINSTR": "1"}
        if self.sources["out"] == "default":
            environ[INHERITED_OUT_VARIABLE] = self.out
        for name, text in self.dump_set_options().items():
            environ[BY_NAME[name].environment] = text
        return environ


def load_config(
    environ: Mapping[str, str],
    xvalue: str | bool | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Read the configuration from `environ`, the value of -X autoinstr, and flags.

    `flags` are those of `autoinstr run`, by option name. Raises ConfigError."""
    flag_texts = {name: (text, BY_NAME[name].flag) for name, text in (flags or {}).items()}
    warnings: list[str] = []
    value, source = find_activation(environ, xvalue)
    inline_texts = parse_inline(value or "", source, warnings)
    variable_texts = read_variables(environ, warnings)
    file_texts: Texts = {}
    custom_targets: list[dict[str, Any]] = []
    file = flag_texts.get("config") or inline_texts.get("config") or variable_texts.get("config")
    if file:
        from autoinstr.config.file import read_file

        file_texts, custom_targets = read_file(_parse("config", *file), file[1])
    texts = {**file_texts, **variable_texts, **inline_texts, **flag_texts}
    values = {
        option.name: _parse(option.name, *texts[option.name])
        if option.name in texts
        else option.default
        for option in OPTIONS
    }
    if "out" in texts:
        _check_folder(values["out"], *texts["out"])
    else:
        values["out"] = choose_default_out(environ)
    if WARNED_VARIABLE in environ:
        warnings.clear()
    sources = {
        option.name: texts[option.name][1] if option.name in texts else "default"
        for option in OPTIONS
    }
    return Config(values, sources=sources, warnings=warnings, custom_targets=custom_targets)


def read_log_settings(
    environ: Mapping[str, str], xvalue: str | bool | None = None
) -> tuple[str, str, str | None]:
    """Return level, format and file of the log, as far as they are known without a file.

    Never raises: the errors of `load_config` are logged with these settings."""
    try:
        value, source = find_activation(environ, xvalue)
        inline_texts = parse_inline(value or "", source, [])
    except ConfigError:
        inline_texts = {}
    texts = {**read_variables(environ, []), **inline_texts}
    settings = []
    for name in ("log", "log_format", "log_file"):
        try:
            settings.append(_parse(name, *texts[name]) if name in texts else BY_NAME[name].default)
        except ConfigError:
            settings.append(BY_NAME[name].default)
    return settings[0], settings[1], settings[2]


def _parse(name: str, text: str, source: str) -> Any:
    try:
        return BY_NAME[name].value_type.parse(text)
    except BadValue as bad:
        raise ConfigError(
            bad.problem, option=name, value=text, source=source, suggestion=bad.suggestion
        ) from None


def _check_folder(path: str, text: str, source: str) -> None:
    """Raise ConfigError if the run directory, or a folder above it, exists as a file.

    A folder that cannot be written is no error of the configuration."""
    place = path
    while not exists(place) and place != get_parent(place):
        place = get_parent(place)
    if not is_folder(place):
        subject = "" if place == path else f"{place!a} "
        raise ConfigError(
            f"{subject}is a file, and must be a directory",
            option="out",
            value=text,
            source=source,
            suggestion=f"{place}-runs",
        )
