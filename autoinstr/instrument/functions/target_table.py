"""What the ranges of a function target need to know about it, prepared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.base.guard import is_from_signal_handler
from autoinstr.targets.events import EVENTS
from autoinstr.targets.getters import GETTERS
from autoinstr.targets.step_parts import is_step_part

if TYPE_CHECKING:
    from autoinstr.targets.event_types import Event
    from autoinstr.targets.getters import Getter
    from autoinstr.targets.rows import Target


class TargetEntry(NamedTuple):
    """A function target with its getters and its request events."""

    row: Target
    is_method: bool  # its first argument is an instance or a class
    getters: tuple[Getter, ...]
    events: tuple[Event, ...]
    on_stream: bool


def make_entry(row: Target) -> TargetEntry:
    """Look up the getters and events that the row names."""
    return TargetEntry(
        row,
        "." in row.qualname,
        tuple(GETTERS[word] for word in row.attributes if word in GETTERS),
        tuple(EVENTS[word] for word in row.attributes if word in EVENTS),
        is_step_part(row),
    )


def split_instance(entry: TargetEntry, args: Any) -> tuple[Any, Any]:
    """Split the positional arguments of a call into the instance (None for a function) and the
    other arguments."""
    return (args[0], args[1:]) if entry.is_method and args else (None, args)


def read_early_fields(
    entry: TargetEntry, instance: Any, args: Any, kwargs: Any, result: Any
) -> dict[str, Any]:
    """Return what the getters can read, without those that fail.

    Some can read only after the call."""
    fields: dict[str, Any] = {}
    for getter in entry.getters:
        try:
            fields.update(getter(instance, args, kwargs, result) or {})
        except Exception as error:
            if is_from_signal_handler(error):
                raise
    return fields


def read_fields(
    entry: TargetEntry, instance: Any, args: Any, kwargs: Any, result: Any
) -> dict[str, Any] | None:
    """Return what all getters read after the call; None if that is nothing. Errors pass through."""
    fields: dict[str, Any] | None = None
    for getter in entry.getters:
        more_fields = getter(instance, args, kwargs, result)
        fields = {**fields, **more_fields} if fields and more_fields else more_fields or fields
    return fields
