"""What this process is among those of its run, as the recording's header says it: roles, rank,
versions. Both may become known late."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import process_facts
from autoinstr.base.redaction import redact_argv
from autoinstr.emitters.recorder import loaded_versions

if TYPE_CHECKING:
    from autoinstr.emitters.recorder import Recorder


class Identity:
    """Roles and rank, kept up to date in the header of the recording."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.roles: list[str] = []
        self.rank: int | None = None
        self.world_size: int | None = None

    def take_role(self, role: str, rank: int | None, world_size: int | None) -> None:
        """The process has instantiated something of vLLM's that gives it a role."""
        if self.roles == ["MainProcess"]:
            # a process is called so that is nothing else; the recording may have been opened before
            # this was known
            self.roles = []
        if role not in self.roles:
            self.roles.append(role)
        if rank is not None:
            self.rank, self.world_size = rank, world_size
        self._recorder.update_header(roles=self.roles, rank=self.rank, world_size=self.world_size)

    def look_for_rank(self) -> None:
        """A process may get its rank after its first range, and may have lost it again by its
        end."""
        if self.rank is None:
            self.rank, self.world_size = process_facts.rank()
            if self.rank is not None:
                self._recorder.update_header(rank=self.rank, world_size=self.world_size)

    def header(self) -> dict[str, Any]:
        """What a recording begins with, but for what the session adds."""
        said = process_facts.describe()
        self.roles = self.roles or said["roles"]
        if self.rank is None:
            self.rank, self.world_size = said["rank"], said["world_size"]
        argv = redact_argv(list(getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv]))
        own = {
            "roles": self.roles,
            "rank": self.rank,
            "world_size": self.world_size,
            "argv": argv,
            "versions": loaded_versions(),
        }
        return {**said, **own}

    def reset_in_child(self) -> None:
        """After fork: the parent's roles are not the child's."""
        self.roles, self.rank, self.world_size = [], None, None
