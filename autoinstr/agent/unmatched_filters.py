"""At the end of a process: log the patterns of include and exclude that matched no module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config.filters import Decision, Filter


def report_unmatched_filters(
    module_filter: Filter, decisions: Mapping[tuple[str, str], Decision], *, is_alone: bool
) -> None:
    """Log each pattern that matched no module, with the nearest one that matches some.

    `decisions` maps path and class of each named module to the filter's decision. `is_alone` says
    that these are probably all modules of the run. Otherwise the level is info if some module was
    kept, because a pattern may be meant for the modules of another process."""
    has_kept = any(keep for keep, _ in decisions.values())
    level = "info" if has_kept and not is_alone else "warning"
    if not decisions or not log.is_written(level):
        return
    for pattern in module_filter.find_unmatched():
        from autoinstr.config.filter_hints import count_depth, suggest_pattern

        # A pattern before it may have decided about each module that it matches too.
        if any(pattern.test(path, cls, count_depth(path)) for path, cls in decisions):
            continue
        nearest = suggest_pattern(pattern.text, decisions)
        label = f"{pattern.option} {pattern.text!r}"
        fields = {"filter": label, **({"nearest": nearest} if nearest else {})}
        log.write_once(f"unmatched {label}", level, "a filter matched no module", **fields)
