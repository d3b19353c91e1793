"""Calls models of several kinds under the agent, and prints a count by named_parameters.

A parameter counts once below each module.
"""

from __future__ import annotations

import json

import torch
from torch import nn
from torch.nn.utils import parametrizations


class Tied(nn.Module):
    """Two layers with one weight, and a module in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight
        self.first = self.second = nn.Linear(4, 4)
        self.deeper = nn.Sequential(self.first)
        self.short = nn.Linear(4, 4).bfloat16()
        self.normed = parametrizations.weight_norm(nn.Linear(4, 4))

    def forward(self, numbers):
        hidden = self.normed(self.deeper(self.first(self.embedding(numbers))))
        return self.head(hidden), self.short(hidden.bfloat16())


class Wrapped(torch.Tensor):
    """A parameter whose class sees every call of torch."""

    calls = 0

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        Wrapped.calls += 1
        plain = torch.utils._pytree.tree_map_only(Wrapped, lambda one: one.inner, args)
        return function(*plain, **(kwargs or {}))

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        Wrapped.calls += 1
        return super().__torch_function__(function, types, args, kwargs or {})

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner
        return made

    def numel(self):
        raise AssertionError("the agent called a method of a parameter")


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(Wrapped(torch.ones(4, 4)), requires_grad=False)

    def forward(self, values):
        return values + 1  # no operation on the parameter


class Mode(torch.overrides.TorchFunctionMode):
    """Counts the calls that it sees."""

    calls = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        Mode.calls += 1
        return function(*args, **(kwargs or {}))


class Model(nn.Module):
    def __init__(self, *children: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(children)

    def forward(self, values):
        for part in self.parts:
            values = part(values)
        return values


class Tracked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, values):
        return values


def count(model: nn.Module) -> dict[str, tuple[int, int]]:
    return {
        f"{type(model).__name__}|{path}": (
            sum(one.numel() for one in module.parameters()),
            sum(one.numel() * one.element_size() for one in module.parameters()),
        )
        for path, module in model.named_modules()
    }


def main() -> None:
    torch.manual_seed(0)
    tied = Tied()
    expected = count(tied)
    tied(torch.tensor([1, 2]))
    seen_calls = [0, 0]
    quantised = Model(nn.Linear(4, 4), Quantised())
    Wrapped.calls = 0
    quantised(torch.ones(2, 4))
    seen_calls[0] = Wrapped.calls
    tracked = Tracked()
    with Mode():
        tracked(1)
        seen_calls[1] = Mode.calls
    nn.Sequential(nn.LazyLinear(3), nn.ReLU())(torch.ones(2, 5))
    broken = nn.Linear(2, 2)
    broken._parameters["odd"] = 7
    broken(torch.ones(1, 2))
    print(json.dumps({"expected": expected, "calls": seen_calls}))


main()
