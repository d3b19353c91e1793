"""The roles of a process, which become known before or after its recording is opened."""

from __future__ import annotations

from typing import Any

from autoinstr.agent.identity import Identity


class Header:
    """The recorder, as far as its header goes."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def update_header(self, **fields: Any) -> None:
        self.said.append(fields)


def test_a_role_takes_the_place_of_main_process_also_in_a_recording_that_is_open() -> None:
    early, late = Identity(Header()), Identity(Header())  # type: ignore[arg-type]
    assert early.build_header()["roles"] == ["MainProcess"]
    for one in (early, late):
        one.add_role("EngineCore", None, None)
        one.add_role("Worker", 0, 2)
        one.add_role("EngineCore", None, None)
        assert one.roles == ["EngineCore", "Worker"]
    assert late.build_header()["roles"] == ["EngineCore", "Worker"]
    assert (late.rank, late.world_size) == (0, 2)
