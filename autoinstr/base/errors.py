"""Errors that a user can cause; each carries the exit status of the command line.

AutoinstrError            exit 1: it was asked for rightly and failed
├── UsageError            exit 2: it was asked for wrongly
│   └── ConfigError       one option has a value that cannot be used
└── RecordingError        what is on disk is not a recording, or not a whole one

`autoinstr.cli.main` is the only place that prints them; inside a user's process they are one log
line and an inactive agent."""

from __future__ import annotations

from autoinstr.base.redaction import redact_text


class AutoinstrError(Exception):
    """Something a user can act on. Its text is one line."""

    exit_status = 1


class UsageError(AutoinstrError):
    """A command line or a configuration that cannot be meant."""

    exit_status = 2


class ConfigError(UsageError):
    """An option whose value cannot be used.

    `option` is its name in the table of options, or the name that was given when there is no such
    option. `value` is the text as it was given, `source` where it came from ("environment
    AUTOINSTR_WHEN"), `suggestion` the nearest valid text, or None."""

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
        given = redact_text(f"{self.option}={self.value!a}") if self.value else self.option
        where = f" ({self.source})" if self.source else ""
        nearest = f"; did you mean {self.suggestion!a}?" if self.suggestion else ""
        return f"{given}{where}: {self.problem}{nearest}"


class RecordingError(AutoinstrError):
    """A file or a directory that is not what autoinstr recorded."""
