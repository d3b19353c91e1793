"""What this process is in its run: roles, rank and versions, as the recording's header has them.

Role and rank may become known late.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import process_facts
from autoinstr.base.redaction import redact_argv

if TYPE_CHECKING:
    from autoinstr.emitters.recorder import Recorder

_PACKAGES = (
    "torch",
    "torch_npu",
    "vllm",
    "vllm_ascend",
    "transformers",
    "sglang",
    "diffusers",
)


class Identity:
    """Roles and rank. It updates the header of the recording when they change."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.roles: list[str] = []
        self.rank: int | None = None
        self.world_size: int | None = None
        self._facts: dict[str, int] = {}
        self._fork_count = 0

    def add_facts(self, facts: dict[str, int]) -> None:
        """Add numbers that tell this process from others, such as its data-parallel rank."""
        self._facts.update(facts)
        self._recorder.update_header(**facts)

    def add_role(self, role: str, rank: int | None, world_size: int | None) -> None:
        """Add a role that an object of an engine gives to the process."""
        if self.roles == ["MainProcess"]:
            # That role means "no other role". The recording may have been opened with it.
            self.roles = []
        if role not in self.roles:
            self.roles.append(role)
        if rank is not None:
            self.rank, self.world_size = rank, world_size
        self._recorder.update_header(roles=self.roles, rank=self.rank, world_size=self.world_size)

    def update_rank(self) -> None:
        """Read the rank, and the class of a Ray actor, unless they are known.

        A process may get its rank after its first range, and may have lost it at its end.
        """
        if self.roles == [process_facts.RAY_WORKER]:
            actor_class = process_facts.get_actor_class()
            if actor_class is not None:
                self.roles = [actor_class]
                self._recorder.update_header(roles=self.roles)
        if self.rank is None:
            self.rank, self.world_size = process_facts.get_rank()
            if self.rank is not None:
                self._recorder.update_header(rank=self.rank, world_size=self.world_size)

    def build_header(self) -> dict[str, Any]:
        """Return the fields of a recording's header that identify the process."""
        fields = process_facts.describe_process()
        self.roles = self.roles or fields["roles"]
        if self.rank is None:
            self.rank, self.world_size = fields["rank"], fields["world_size"]
        argv = redact_argv(list(getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv]))
        return {
            **fields,
            **self._facts,
            "roles": self.roles,
            "rank": self.rank,
            "world_size": self.world_size,
            "argv": argv,
            "versions": read_loaded_versions(),
        }

    def count_fork(self) -> None:
        """Before a fork: the child gets the next number of this process's children."""
        self._fork_count += 1

    def reset_in_child(self) -> None:
        """After fork: the parent's roles are not the child's."""
        self.roles, self.rank, self.world_size = [], None, None
        self._facts, self._fork_count = {"fork": self._fork_count}, 0


def read_loaded_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the process has imported."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _PACKAGES:
        version = process_facts.get_loaded_version(name)
        if version is not None:
            versions[name] = version
    return versions
