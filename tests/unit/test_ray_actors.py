"""The methods of Ray's actors get ranges where Ray makes their executors. tests/integration/
test_ray.py has real actors."""

from __future__ import annotations

import functools
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.base import process_facts
from autoinstr.instrument.functions.ray_actors import ActorMethods, is_actor_class
from autoinstr.targets.rows import Target, load_builtin_targets


class Base:
    def forward(self) -> str:
        return "forward"

    def fit(self) -> str:
        return "fit"

    @staticmethod
    def count() -> int:
        return 1

    @classmethod
    def make(cls) -> int:
        return 2

    def stream(self) -> Any:
        yield 1

    async def wait(self) -> str:
        return "wait"


class Actor(Base):
    def __init__(self) -> None:
        self.value = 1

    def __ray_terminate__(self) -> None:
        pass


class Manager:
    """Loads a class and makes executors as Ray's FunctionActorManager does."""

    def __init__(self) -> None:
        self._loaded_actor_classes: dict[int, type] = {}
        self.executors: dict[str, Any] = {}

    def load(self, cls: type) -> dict[str, Any]:
        self._loaded_actor_classes[len(self._loaded_actor_classes)] = cls
        for name, method in inspect.getmembers(
            cls, lambda member: inspect.isfunction(member) or inspect.ismethod(member)
        ):
            self.executors[name] = self.make_executor(name, method)
        return self.executors

    def make_executor(self, name: str, method: Any) -> Any:
        return method


def wrap(target: Target, function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return target.name, function(*args)

    wrapper.__dict__["is_ours"] = wrapper
    return wrapper


def load(
    monkeypatch: pytest.MonkeyPatch, cls: type, rows: list[Target], wrap: Any = wrap
) -> dict[str, Any]:
    row = next(row for row in load_builtin_targets() if row.name == "ray.actor")
    methods = ActorMethods(row, rows, wrap, lambda made: getattr(made, "is_ours", False) is made)
    monkeypatch.setattr(Manager, "make_executor", methods.make_hook(Manager.make_executor))
    return Manager().load(cls)


def trace_as_ray_does(cls: type) -> type:
    """Return a class with a wrapper around each method, as in `_inject_tracing_into_class`."""
    traced = type(cls.__name__, (cls,), {})
    for name, method in inspect.getmembers(cls, inspect.isfunction):

        def resume(self: Any, *args: Any, method: Any = method) -> Any:
            return method(self, *args)

        if name != "stream" and not inspect.iscoroutinefunction(method) and name != "count":
            setattr(traced, name, functools.wraps(method)(resume))
    return traced


def row_of(qualname: str, **bounds: str) -> Target:
    fields = {"since": "", "before": "", **bounds}
    return Target(
        f"rl.{qualname}", __name__, qualname, "sync", (), **fields, attributes=(), default=True,
        package="", domain="rl", note="",
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("traced", [False, True])
def test_each_method_has_a_range_of_its_row_or_its_own_name(
    monkeypatch: pytest.MonkeyPatch, traced: bool
) -> None:
    cls: Any = trace_as_ray_does(Actor) if traced else type("Actor", (Actor,), {})
    found = load(monkeypatch, cls, [row_of("Base.forward"), row_of("Other.fit")])
    actor = cls()
    assert found["forward"](actor) == ("rl.Base.forward", "forward")
    assert actor.forward() == ("rl.Base.forward", "forward"), "other methods call it, too"
    assert found["fit"](actor) == ("Actor.fit", "fit")
    name, coroutine = found["wait"](actor)
    coroutine.close()
    assert name == "Actor.wait"
    assert actor.fit() == "fit", "only Ray's calls are methods of the actor"


@pytest.mark.parametrize("traced", [False, True])
def test_a_method_that_has_a_range_gets_no_second(
    monkeypatch: pytest.MonkeyPatch, traced: bool
) -> None:
    row = row_of("Base.forward")
    monkeypatch.setattr(Base, "forward", wrap(row, Base.forward))
    cls = trace_as_ray_does(Actor) if traced else type("Actor", (Actor,), {})
    assert load(monkeypatch, cls, [row])["forward"](cls()) == ("rl.Base.forward", "forward")


def test_what_cannot_have_a_range_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(monkeypatch, Actor, [])
    assert found["__ray_terminate__"] is Actor.__ray_terminate__
    assert found["stream"] is Base.stream
    assert found["make"]() == 2
    assert found["count"]() in (1, ("Actor.count", 1))


def test_an_error_leaves_ray_its_method(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(target: Target, function: Any) -> Any:
        raise ZeroDivisionError

    assert load(monkeypatch, Actor, [], fail)["fit"] is Base.fit


def test_what_remote_made_of_a_class_is_known() -> None:
    made = Base()
    made.__dict__["__ray_metadata__"] = None
    assert is_actor_class(made)
    assert not is_actor_class(Base) and not is_actor_class(None)


def test_the_role_of_an_actor_is_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SimpleNamespace(actors={"id": Actor()})
    module = SimpleNamespace(global_worker=worker)
    monkeypatch.setitem(process_facts.sys.modules, "ray._private.worker", module)
    assert process_facts.get_actor_class() == "Actor"
    worker.actors = {}
    assert process_facts.get_actor_class() is None
    module.global_worker = None
    assert process_facts.get_actor_class() is None
