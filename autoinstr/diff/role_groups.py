"""Group processes that do the same work in both runs: those that share a role in either run.

On one card, an engine and its worker are one process; on two cards they are two. So
{EngineCore+Worker} is compared with {EngineCore} and {Worker} together. A number at the end of a
role (ForkPoolWorker-3) is ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.recording.reader import Recording


class RoleGroups:
    """The groups of roles that are compared with each other."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._groups: dict[str, list[str]] = {}
        for recording in recordings:
            group: list[str] = []
            for role in _read_roles(recording):
                known_roles = self._groups.get(role, [role])
                group.extend(name for name in known_roles if name not in group)
            for role in group:
                self._groups[role] = group

    def get_label(self, recording: Recording) -> str:
        """Return the group's label: "EngineCore+Worker" for a Worker if some process was both."""
        return "+".join(self._groups[_read_roles(recording)[0]])


def _read_roles(recording: Recording) -> list[str]:
    return [re.sub(r"[-_ ]?\d+$", "", role) or role for role in recording.roles]
