"""One row of the table of options."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Union

from autoinstr.config.value_types import ValueType

# The groups of options, in the order of the documentation and of `autoinstr run --help`.
WHAT_IS_RECORDED = "what is recorded"
WHERE_IT_IS_STORED = "where it is stored"
PROFILERS_AND_ASCEND = "profilers and Ascend"
METRICS = "live figures"
LOG_AND_FILE = "log and configuration file"
WITHOUT_EFFECT = "accepted without effect"
GROUPS = (
    WHAT_IS_RECORDED,
    WHERE_IT_IS_STORED,
    PROFILERS_AND_ASCEND,
    METRICS,
    LOG_AND_FILE,
    WITHOUT_EFFECT,
)


# A text, or a function that returns it from the table of emitters.
Text = Union[str, Callable[[], str]]


class Option(NamedTuple):
    """One option.

    If `default` is None, the code that uses the option decides, and `default_text` describes the
    result."""

    name: str
    group: str
    value_type: ValueType
    default: Any
    default_source: Text  # of `default_text`
    help_source: Text  # of `help`
    in_toml: bool = True

    @property
    def default_text(self) -> str:
        """The default in the documentation."""
        return _make_text(self.default_source)

    @property
    def help(self) -> str:
        """What the option is."""
        return _make_text(self.help_source)

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return f"AUTOINSTR_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """The name of its flag in `autoinstr run`."""
        return f"--{self.name.replace('_', '-')}"


def _make_text(source: Text) -> str:
    return source if isinstance(source, str) else source()
