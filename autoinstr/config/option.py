"""One row of the table of options."""

from __future__ import annotations

from typing import Any, NamedTuple

from autoinstr.config.value_types import ValueType

# The groups of options, in the order of the documentation and of `autoinstr run --help`.
WHAT_IS_RECORDED = "what is recorded"
WHERE_IT_IS_STORED = "where it is stored"
PROFILERS_AND_ASCEND = "profilers and Ascend"
LOG_AND_FILE = "log and configuration file"
WITHOUT_EFFECT = "accepted without effect"
GROUPS = (
    WHAT_IS_RECORDED,
    WHERE_IT_IS_STORED,
    PROFILERS_AND_ASCEND,
    LOG_AND_FILE,
    WITHOUT_EFFECT,
)


class Option(NamedTuple):
    """One option.

    If `default` is None, the code that uses the option decides, and `default_text` describes the
    result."""

    name: str
    group: str
    value_type: ValueType
    default: Any
    default_text: str  # the default in the documentation
    help: str
    in_toml: bool = True

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return f"AUTOINSTR_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """The name of its flag in `autoinstr run`."""
        return f"--{self.name.replace('_', '-')}"
