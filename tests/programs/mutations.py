"""Changes Module, a class or an instance between two calls, in every way that Python has, and
prints what the program sees as one line of JSON.

Each mutation gets classes and modules of its own. `seen` lists what ran in the program: a function
that it put somewhere, a property that was read, a hook. The agent must change nothing of it."""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

import torch
from torch import nn
from torch.nn.modules import module as torch_module

torch.set_num_threads(1)
X = torch.ones(2, 3, requires_grad=True)
TABLES = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")
seen: list[str] = []
MUTATIONS: dict[str, Callable[[Any], Callable[[], object] | None]] = {}


class Mixin:
    def forward(self, x):
        seen.append("mixin")
        return x * 7


class Case:
    """A model with a class of its own, below a root."""

    def __init__(self) -> None:
        class Meta(type):
            pass

        class Layer(nn.Linear, metaclass=Meta):
            def forward(self, x):
                seen.append("forward")
                return super().forward(x)

        class Net(nn.Module):
            def __init__(self, layer):
                super().__init__()
                self.first, self.layer, self.last = nn.Identity(), layer, nn.ReLU()

            def forward(self, x):
                return self.last(self.layer(self.first(x)))

        self.Layer, self.Meta, self.Net = Layer, Meta, Net
        torch.manual_seed(0)
        self.layer = Layer(3, 3)
        self.net = Net(self.layer)


def add(name: str, mutate: Callable[[Any], Callable[[], object] | None]) -> None:
    assert name not in MUTATIONS, name
    MUTATIONS[name] = mutate


def store(owner: Any, name: str, value: Any) -> Callable[[], object]:
    """Store an attribute and return what undoes it."""
    absent = object()
    before = vars(owner).get(name, absent)
    setattr(owner, name, value)
    return lambda: delattr(owner, name) if before is absent else setattr(owner, name, before)


def log_calls(text: str, original: Any) -> Any:
    def call(*args, **kwargs):
        if len(seen) < 500:
            seen.append(f"{text} {args[1]}" if "__get" in text else text)
        return original(*args, **kwargs)

    return call


def log_reads(name: str, get: Callable[[Any], Any]) -> property:
    def read(self):
        seen.append(f"read {name}")
        return get(self)

    return property(read, lambda self, value: None)


class Descriptor:
    def __init__(self, name, function):
        self.name, self.function = name, function

    def __get__(self, instance, owner):
        if instance is None:
            return self.function
        seen.append(f"bound {self.name}")
        return self.function.__get__(instance, owner)


def read_method(cls: Any, name: str) -> Callable[[], object]:
    """Turn a method into a property that returns it bound."""
    function = getattr(cls, name)
    return store(cls, name, log_reads(name, lambda self: function.__get__(self)))


def names_of(function: str) -> Any:
    return lambda self: object.__getattribute__(self, "__dict__")[function]


def fill() -> None:
    owners = {"Module": lambda case: nn.Module, "class": lambda case: case.Layer}
    functions = (
        *("_call_impl", "_slow_forward", "__call__", "__getattribute__", "__getattr__"),
        *("__setattr__", "__hash__", "__repr__", "__dir__", "_get_name"),
        *("named_modules", "modules", "children", "named_children"),
    )
    for owner, get in owners.items():
        for name in functions:
            if (owner, name) == ("Module", "__call__"):
                continue  # the agent's own place; test_swap.py has it
            add(
                f"{owner}.{name}",
                lambda case, get=get, name=name: store(
                    get(case), name, log_calls(name, getattr(get(case), name))
                ),
            )
    for name in ("_call_impl", "forward"):
        add(
            f"descriptor {name}",
            lambda case, name=name: store(
                case.Layer, name, Descriptor(name, getattr(case.Layer, name))
            ),
        )
        add(f"property {name}", lambda case, name=name: read_method(case.Layer, name))
    for name in (*TABLES, "_modules", "training"):
        add(
            f"property {name}",
            lambda case, name=name: store(case.Layer, name, log_reads(name, names_of(name))),
        )
    add(
        "property _compiled_call_impl",
        lambda case: store(
            case.Layer, "_compiled_call_impl", log_reads("compiled", lambda self: None)
        ),
    )
    getters = {
        "__dict__": nn.Module.__dict__["__dict__"].__get__,
        "__weakref__": nn.Module.__dict__["__weakref__"].__get__,
        "__class__": type,
    }
    for name, getter in getters.items():
        add(
            f"property {name}",
            lambda case, name=name, getter=getter: setattr(
                case.layer,
                "__class__",
                type("Other", (case.Layer,), {name: log_reads(name, getter)}),
            ),
        )
    compiled = lambda self, *args: (seen.append("compiled"), self._call_impl(*args))[1]  # noqa: E731
    add(
        "class._compiled_call_impl", lambda case: store(case.Layer, "_compiled_call_impl", compiled)
    )
    add(
        "Module._compiled_call_impl", lambda case: store(nn.Module, "_compiled_call_impl", compiled)
    )
    for name in ("_call_impl", "forward", "_slow_forward"):
        add(
            f"instance {name}",
            lambda case, name=name: case.layer.__dict__.update(
                {name: log_calls(name, getattr(case.layer, name))}
            ),
        )
    add(
        "instance _compiled_call_impl",
        lambda case: case.layer.__dict__.update(
            _compiled_call_impl=log_calls("compiled", case.layer._call_impl)
        ),
    )

    class Table(dict):
        def __len__(self):
            seen.append("length")
            return 0

    for name in TABLES:
        add(f"instance {name}", lambda case, name=name: case.layer.__dict__.update({name: Table()}))
    fill_classes()
    fill_hooks()
    fill_torch()
    fill_trees()


def fill_classes() -> None:
    def change_to(**attributes):
        def mutate(case):
            made = {
                name: log_calls(f"new {name}", getattr(case.Layer, value or name))
                for name, value in attributes.items()
            }
            case.layer.__class__ = type("Other", (case.Layer,), made)

        return mutate

    add("__class__", change_to())
    for name in ("forward", "_call_impl", "__call__", "__getattribute__"):
        add(f"__class__ with {name}", change_to(**{name: ""}))

    def change_bases(case):
        before = case.Layer.__bases__
        case.Layer.__bases__ = (type("Between", (Mixin, nn.Linear), {}),)
        return lambda: setattr(case.Layer, "__bases__", before)

    add("__bases__", change_bases)

    def change_metaclass(case):
        class Watching(case.Meta):
            def __getattribute__(cls, name):
                seen.append(f"meta {name}")
                return super().__getattribute__(name)

        case.Layer.__class__ = Watching
        return lambda: setattr(case.Layer, "__class__", case.Meta)

    add("metaclass", change_metaclass)
    add(
        "metaclass.__getattribute__",
        lambda case: store(case.Meta, "__getattribute__", log_calls("meta", type.__getattribute__)),
    )
    add(
        "metaclass.__instancecheck__",
        lambda case: store(
            case.Meta, "__instancecheck__", log_calls("check", type.__instancecheck__)
        ),
    )
    add("class attribute", lambda case: store(case.Layer, "counter", 1))
    add("Module attribute", lambda case: store(nn.Module, "counter", 1))
    add("del class.forward", lambda case: store_deleted(case.Layer, "forward"))
    add(
        "base forward",
        lambda case: store(nn.Linear, "forward", log_calls("base", nn.Linear.forward)),
    )


def store_deleted(owner: Any, name: str) -> Callable[[], object]:
    value = vars(owner)[name]
    delattr(owner, name)
    return lambda: setattr(owner, name, value)


def fill_hooks() -> None:
    def hook(name, result=None):
        return lambda *args: seen.append(name)

    for name, options in (
        ("register_forward_hook", {}),
        ("register_forward_hook", {"prepend": True}),
        ("register_forward_hook", {"with_kwargs": True}),
        ("register_forward_hook", {"always_call": True}),
        ("register_forward_pre_hook", {}),
        ("register_forward_pre_hook", {"with_kwargs": True}),
        ("register_full_backward_hook", {}),
        ("register_full_backward_pre_hook", {}),
        ("register_backward_hook", {}),
        ("register_state_dict_pre_hook", {}),
        ("register_load_state_dict_post_hook", {}),
    ):
        add(
            f"{name} {list(options)}",
            lambda case, name=name, options=options: (
                getattr(case.layer, name)(hook(name), **options).remove
            ),
        )
    for name in (
        "register_module_forward_hook",
        "register_module_forward_pre_hook",
        "register_module_full_backward_hook",
        "register_module_full_backward_pre_hook",
        "register_module_backward_hook",
        "register_module_module_registration_hook",
        "register_module_parameter_registration_hook",
        "register_module_buffer_registration_hook",
    ):
        add(name, lambda case, name=name: register_for_all(name, hook(name)))


def register_for_all(name: str, hook: Any) -> Callable[[], object]:
    torch_module._global_is_full_backward_hook = None  # torch allows one of the two kinds
    return getattr(torch_module, name)(hook).remove


def fill_torch() -> None:
    for owner, name in (
        (torch._C, "_get_tracing_state"),
        (nn.functional, "linear"),
        (nn.functional, "relu"),
        (torch, "relu"),
    ):
        add(
            f"{owner.__name__}.{name}",
            lambda case, owner=owner, name=name: store(
                owner, name, log_calls(name, getattr(owner, name))
            ),
        )
    for table in TABLES:
        add(
            f"new table _global{table}",
            lambda case, table=table: store(torch_module, f"_global{table}", {}),
        )


def fill_trees() -> None:
    def wrap(case):
        case.net.layer = nn.Sequential(case.layer)

    def swap(case):
        case.net.first, case.net.layer = case.net.layer, case.net.first

    add("wrapped", wrap)
    add("swapped", swap)
    add("replaced", lambda case: setattr(case.net, "layer", case.Layer(3, 3)))
    add("extended", lambda case: case.net.add_module("more", nn.Identity()))
    add("deleted", lambda case: delattr(case.net, "layer"))
    add(
        "_modules replaced", lambda case: case.net.__dict__.update(_modules=dict(case.net._modules))
    )


def call(case: Case) -> Any:
    del seen[:]
    try:
        result = case.net(X)
        result.sum().backward()
        shown = round(float(result.detach().sum()), 4)
    except Exception as error:
        shown = f"{type(error).__name__}: {error}"
    return [shown, *seen]


def run(switch: Callable[[bool], object], mode: str) -> dict[str, Any]:
    results = {}
    for name, mutate in MUTATIONS.items():
        case = Case()
        switch(mode != "off")
        outcome = [call(case), call(case)]
        undo = mutate(case)
        for is_on in (True, False, True):
            if mode == "toggled":
                switch(is_on)
            outcome += [call(case), call(case)]
        if undo is not None:
            undo()
        outcome += [call(case), call(case)]
        results[name] = outcome
    return results


def main() -> None:
    fill()
    bootstrap = sys.modules.get("autoinstr.agent.bootstrap")
    session = None if bootstrap is None else bootstrap.get_session()
    counts = {}

    def switch(is_on: bool) -> None:
        if session is not None:
            (session.switch_on if is_on else session.switch_off)("test")

    results = {mode: run(switch, mode) for mode in ("on", "off", "toggled")}
    counts["mutations"] = len(MUTATIONS)
    print(json.dumps({"results": results, **counts}))


if __name__ == "__main__":
    main()
