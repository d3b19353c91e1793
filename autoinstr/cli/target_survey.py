"""Look up the targets of this interpreter, for `autoinstr targets` and `autoinstr doctor`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from autoinstr.config.config import Config
    from autoinstr.targets.installed import TargetStatus


class TargetSurvey(NamedTuple):
    """The status of every target row, and which of them the option `targets` selects.

    `problems` are rows of the user that cannot be used, `unmatched` are patterns that match no
    target."""

    statuses: list[TargetStatus]
    selected_ids: set[int]
    problems: list[str]
    unmatched: list[str]

    def is_selected(self, status: TargetStatus) -> bool:
        """Return whether the option `targets` selects this row."""
        return id(status.target) in self.selected_ids


def survey_targets(config: Config) -> TargetSurvey:
    """Look up all targets in the source files of the installed packages; import none of them."""
    from autoinstr.targets.installed import check_targets
    from autoinstr.targets.selection import select_targets

    original_path = list(sys.path)
    if os.getcwd() not in sys.path:
        # a row may name a module beside the script that the user will run from here
        sys.path.append(os.getcwd())
    try:
        statuses, problems = check_targets(config.custom_targets, config.config or "")
    finally:
        sys.path[:] = original_path
    selected, unmatched = select_targets([status.target for status in statuses], config.targets)
    return TargetSurvey(statuses, {id(target) for target in selected}, problems, unmatched)


def make_target_row(status: TargetStatus, selected: bool) -> dict[str, Any]:
    """Return the JSON row of a target. `version` is that of the installed package, or None."""
    target = status.target
    return {
        "name": target.name,
        "target": f"{target.module}:{target.qualname}",
        "package": target.package or target.module.partition(".")[0],
        "version": status.version,
        "status": status.status,
        "nearest": status.nearest,
        "reason": status.reason,
        "selected": selected,
        "default": target.default,
        "kind": target.kind,
        "roles": list(target.roles),
        "domain": target.domain,
        "since": target.since or None,
        "before": target.before or None,
        "attributes": list(target.attributes),
        "note": target.note,
        "custom": not target.package,
    }
