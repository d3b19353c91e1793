"""Test which optimizer steps count as steps of the program, and what happens to the range of a step
that raises. The hooks are called as torch calls them."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.instrument.steps.optimizer import OptimizerSteps


class Begun:
    """A range that has begun, with the words of its record."""

    def __init__(self) -> None:
        self.words = [1, 2, 0]
        self.end = 2


class Ranges:
    def __init__(self) -> None:
        self.active = True
        self.begun: list[Begun] = []
        self.ended: list[tuple[Begun, Any]] = []
        self.marks: list[int] = []
        self.targets: list[tuple[str, str]] = []

    def record_target_status(self, target: str, status: str) -> None:
        self.targets.append((target, status))

    def begin_named(
        self, domain: str, message: str, on_stream: bool = False, crossing: bool = False
    ) -> Begun:
        assert (domain, message, on_stream, crossing) == ("torch", "optim.step", True, True)
        self.begun.append(Begun())
        return self.begun[-1]

    def end_named(self, begun: Begun | None, fields: Any = None) -> None:
        if begun is not None:
            self.ended.append((begun, fields))

    def mark(
        self, domain: str, message: str, fields: dict[str, int], on_stream: bool = False
    ) -> None:
        assert (domain, message, on_stream) == ("torch", "step", True)
        self.marks.append(fields["step"])


class World:
    """torch.optim.optimizer, as far as the hooks go."""

    def __init__(self, recorded: bool = True) -> None:
        self.ranges, self.stepped = Ranges(), 0
        self.hooks: dict[str, Any] = {}
        module = SimpleNamespace(
            __dict__={},
            __file__="optimizer.py",
            register_optimizer_step_pre_hook=lambda hook: self.hooks.update(before=hook),
            register_optimizer_step_post_hook=lambda hook: self.hooks.update(after=hook),
        )
        OptimizerSteps(self.ranges, recorded, self._stepped).apply(module)  # type: ignore[arg-type]

    def _stepped(self) -> None:
        self.stepped += 1

    def optimizer(self, work: Any = None) -> Any:
        hooks = self.hooks

        class SGD:
            def step(self, work: Any = work) -> None:
                hooks["before"](self, (), {})
                if work is not None:
                    work()
                hooks["after"](self, (), {})

        return SGD()


@pytest.fixture
def world() -> World:
    return World()


def test_each_step_of_one_optimizer_is_one(world: World) -> None:
    one = world.optimizer()
    for _ in range(3):
        one.step()
    assert world.ranges.marks == [1, 2, 3] and world.stepped == 3
    assert [fields for _, fields in world.ranges.ended] == [{"optimizer": "SGD"}] * 3


def test_a_round_of_several_is_one(world: World) -> None:
    several = [world.optimizer() for _ in range(3)]
    for _ in range(4):
        for one in several:
            one.step()
    assert world.ranges.marks == [1, 2, 3, 4] and len(world.ranges.ended) == 12
    for _ in range(2):
        several[0].step()
    assert world.ranges.marks == [1, 2, 3, 4, 5, 6]


def test_an_optimizer_made_anew_for_each_epoch_goes_on_counting(world: World) -> None:
    for _ in range(3):
        one = world.optimizer()
        one.step()
        one.step()
        del one
        gc.collect()
    assert world.ranges.marks == [1, 2, 3, 4, 5, 6]


def test_a_step_within_a_step(world: World) -> None:
    inner = world.optimizer()
    outer = world.optimizer(inner.step)
    outer.step()
    assert world.ranges.marks == [1] and len(world.ranges.ended) == 2, (
        "another optimizer's: two ranges, one step"
    )
    own = world.optimizer()
    own.step(lambda: own.step(None))
    assert len(world.ranges.ended) == 3, "its own, as through super().step(): one range"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_step_that_raises_is_taken_back_when_the_next_begins(world: World, depth: int) -> None:
    def fails() -> None:
        raise KeyError

    one = world.optimizer(fails)
    outer = one if depth == 1 else world.optimizer(one.step)
    for _ in range(3):
        with pytest.raises(KeyError):
            outer.step()
    other = world.optimizer()
    other.step()
    taken_back = [begun for begun in world.ranges.begun if begun.words[0] == 0]
    assert (
        len(taken_back) == 3 * depth and len(world.ranges.ended) == 1 and world.ranges.marks == [1]
    )


def test_a_step_that_raises_inside_a_step_that_goes_on(world: World) -> None:
    def fails() -> None:
        raise KeyError

    inner = world.optimizer(fails)

    def work() -> None:
        with pytest.raises(KeyError):
            inner.step()

    world.optimizer(work).step()
    assert [begun.words[0] for begun in world.ranges.begun] == [1, 0] and world.ranges.marks == [1]
    assert [begun for begun, _ in world.ranges.ended] == [world.ranges.begun[0]]


def test_steps_are_counted_while_nothing_is_recorded() -> None:
    world = World(recorded=False)
    world.optimizer().step()
    assert (world.stepped, world.ranges.marks, world.ranges.begun) == (1, [], [])
    world = World()
    one = world.optimizer()
    world.ranges.active = False
    one.step()
    world.ranges.active = True
    one.step()
    assert world.ranges.marks == [2], "the number is the program's, not the recording's"
