"""What the table of emitters (`emitters/registry.py`) says in the table of options.

Each text is made when it is read, so an emitter that was registered later is in it."""

from __future__ import annotations

from autoinstr.config.list_types import ListType
from autoinstr.emitters.registry import NONE, RECORDER, list_emitters, list_option_words


class EmitterList(ListType):
    """Names from the table of emitters, or `auto`, or `none` alone."""

    def __init__(self) -> None:
        self.alone = (NONE,)

    @property
    def words(self) -> tuple[str, ...]:  # type: ignore[override]
        """The words that the option accepts now."""
        return list_option_words()

    @property
    def values(self) -> str:  # type: ignore[override]
        """The valid texts, for the documentation."""
        return f"{', '.join(self.words)}, or a comma list"


def describe_emitter_choice() -> str:
    """Return the help of the option `emitter`: what `auto` selects, and when."""
    choices = [
        f"{row.name} {row.policy.auto_condition or f'if {row.policy.module} is loaded'}"
        for row in list_emitters()
        if row.policy.in_auto
    ]
    return (
        f"which tools get ranges. auto selects {', '.join(choices)}, and the {RECORDER} otherwise"
    )


def describe_when() -> str:
    """Return the defaults of the option `when`."""
    return _describe_defaults({row.name: row.policy.defaults.when for row in list_emitters()})


def describe_name() -> str:
    """Return the defaults of the option `name`."""
    return _describe_defaults({row.name: row.policy.defaults.name for row in list_emitters()})


def describe_streams() -> str:
    """Return the defaults of the option `streams`."""
    return _describe_defaults({row.name: row.policy.defaults.streams for row in list_emitters()})


def _describe_defaults(values: dict[str, str]) -> str:
    """Return "steps for mstx, off for the others" from the default of each emitter."""
    emitters: dict[str, list[str]] = {}  # by default
    for emitter, value in values.items():
        emitters.setdefault(value, []).append(emitter)
    *_, last_value = emitters
    texts = []
    for value, names in emitters.items():
        is_remainder = value == last_value and len(emitters) > 1 and len(names) > 1
        texts.append(f"{value} for {'the others' if is_remainder else _join(names)}")
    return ", ".join(texts)


def _join(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
