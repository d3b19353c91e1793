"""Sends its own classes and functions to another process by value, as joblib, Ray and Spark do.

argv: cloudpickle or dill, then a file for the bytes. It uses each object before it pickles it."""

from __future__ import annotations

import importlib
import sys

import torch
from torch import nn

import autoinstr

pickler = importlib.import_module(sys.argv[1])
if pickler.__name__ == "dill":
    pickler.settings["recurse"] = True  # or it pickles all globals of the script
torch.manual_seed(0)


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs) * 2

    def forward(self, x, bias=0):
        return self.layer(x) + bias


class Late(Doubled):
    """It inherits the own `__call__`."""


class Descent(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)


@autoinstr.range("load")
def load(count):
    return list(range(count))


class Loader:
    @autoinstr.range("numbers")
    def numbers(self, count):
        yield from range(count)

    @staticmethod
    @autoinstr.range("one")
    def one(x):
        return x + 1


def train(net, x):
    optimizer = Descent(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(x, bias=1).sum().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net(x).tolist()


net, late, x = Doubled(), Late(), torch.ones(1, 2)
call = net.__call__
print(train(net, x), late(x).shape, load(3), [*Loader().numbers(2)], Loader.one(1))


def use_all(net, late, bound, load, loader, train, descent, x):
    outputs = [net(x).tolist(), late(x, bias=2).tolist(), bound(x).tolist()]
    if train is not None:
        outputs.append([*train(net, x), descent.__name__])
    return [*outputs, load(4), [*loader.numbers(3)], loader.one(2)]


# dill cannot pickle the globals of torch's optimizers
optimizing = (train, Descent) if pickler.__name__ == "cloudpickle" else (None, None)
objects = (use_all, net, late, call, load, Loader(), *optimizing, x)
data = pickler.dumps(pickler.loads(pickler.dumps(objects)))  # twice, as a pool's result
with open(sys.argv[2], "wb") as stream:
    stream.write(data)
print(use_all(*objects[1:]))
