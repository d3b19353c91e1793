"""Which processes of two runs do the same work: those that share a role, in either of the runs.

An engine and its worker are one process on one card and several on two: {EngineCore+Worker} stands
against {EngineCore} and {Worker} together. A number at the end of a role (ForkPoolWorker-3) tells
alike processes apart and does not count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.recording.reader import Recording


class Roles:
    """Labels of processes that are compared with each other."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._groups: dict[str, list[str]] = {}
        for recording in recordings:
            group: list[str] = []
            for role in _roles(recording):
                known = self._groups.get(role, [role])
                group.extend(one for one in known if one not in group)
            for role in group:
                self._groups[role] = group

    def label(self, recording: Recording) -> str:
        """ "EngineCore+Worker" for a Worker, where some process was both."""
        return "+".join(self._groups[_roles(recording)[0]])


def _roles(recording: Recording) -> list[str]:
    return [re.sub(r"[-_ ]?\d+$", "", role) or role for role in recording.roles]
