"""Errors that a user can cause. Each class sets the exit status of the command line.

AutoinstrError            exit 1: the request was valid, and failed
├── UsageError            exit 2: the request was not valid
│   └── ConfigError       an option has an invalid value
└── RecordingError        a file or folder is not a recording, or is damaged

Only `autoinstr.cli.main` prints them. Inside a user's process such an error is logged as one line,
and the agent stays off."""

from __future__ import annotations

from autoinstr.base.redaction import redact_text


class AutoinstrError(Exception):
    """An error that the user can fix. Its text is one line."""

    exit_status = 1


class UsageError(AutoinstrError):
    """An invalid command line or configuration."""

    exit_status = 2


class ConfigError(UsageError):
    """An option with an invalid value.

    `option` is the name in the table of options, or the unknown name that the user gave.
    `value` is the text that the user gave, and `source` where it came from, such as "environment
    AUTOINSTR_WHEN". `suggestion` is the nearest valid text, or None."""

    def __init__(
        self,
        problem: str,
        *,
        option: str,
        value: str = "",
        source: str = "",
        suggestion: str | None = None,
    ) -> None:
        self.problem = problem
        self.option = option
        self.value = value
        self.source = source
        self.suggestion = suggestion
        super().__init__(problem)

    def __str__(self) -> str:
        setting = redact_text(f"{self.option}={self.value!a}") if self.value else self.option
        source = f" ({self.source})" if self.source else ""
        hint = f"; did you mean {self.suggestion!a}?" if self.suggestion else ""
        return f"{setting}{source}: {self.problem}{hint}"


class RecordingError(AutoinstrError):
    """A file or folder that cannot be read as a recording or a run directory."""
