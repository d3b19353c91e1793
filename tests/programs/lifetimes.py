"""Moves modules, wraps them for a while, and drops models, classes and threads."""

from __future__ import annotations

import copy
import gc
import sys
import threading
import weakref

import torch
from torch import nn

torch.set_num_threads(1)
X = torch.ones(2, 4)


class Block(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList([Block(nn.Linear(4, 4)), Block(nn.Tanh())])
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        for block in self.body:
            x = block(x)
        return self.head(x)


class Moved(Model):
    pass


def move() -> None:
    """Four calls each: as it was, with the blocks in the other order, with a wrapped head, and with
    the head as it was."""
    model = Moved()
    for _ in range(4):
        model(X)
    model.body[0], model.body[1] = model.body[1], model.body[0]
    for _ in range(4):
        model(X)
    head, model.head = model.head, nn.Sequential(model.head)
    for _ in range(4):
        model(X)
    model.head = head
    for _ in range(4):
        model(X)


def change_class() -> None:
    class Before(nn.Linear):
        pass

    class After(nn.Linear):
        pass

    layer = Before(4, 4)
    for cls in (Before, After, Before):
        layer.__class__ = cls
        layer(X)
        layer(X)


def count_classes() -> int:
    """How many of ten classes, with the tensors that they hold, outlive their last module."""

    def make(number):
        big, held = torch.ones(1024), []

        class Made(nn.Module):
            def forward(self, x):
                return x + big[0] + len(held)

        class Calls(Made):
            def __call__(self, x):
                return super().__call__(x)

        module = (Calls if number % 2 else Made)()
        held.append(module)
        module(torch.ones(1))
        module(torch.ones(1))
        return weakref.ref(type(module)), weakref.ref(big), weakref.ref(module)

    made = [reference for number in range(10) for reference in make(number)]
    gc.collect()
    return sum(reference() is not None for reference in made)


def drop_copies(number: int) -> None:
    namer = sys.modules.get("autoinstr.base.module_namer")
    if namer is not None:
        namer.MAX_DEAD_NAMES = 0  # type: ignore[attr-defined]
    model = Model()
    for _ in range(number):
        copy.deepcopy(model)(X)
        gc.collect(0)


def end_threads(number: int) -> None:
    layer = nn.Tanh()
    for _ in range(number):
        thread = threading.Thread(target=layer, args=(X,))
        thread.start()
        thread.join()


if __name__ == "__main__":
    move()
    change_class()
    print(count_classes())
    number = int(sys.argv[1])
    drop_copies(number)
    end_threads(number)
