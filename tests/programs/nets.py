"""Modules that several programs use."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.norm = nn.LayerNorm(width)

    def forward(self, x, scale=1.0, *, shift=0.0):
        return self.norm(self.inner(x)) * scale + shift


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Failing(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.before = nn.Identity()

    def forward(self, x):
        raise self.error if self.before(x) is x else AssertionError


class Recursive(nn.Module):
    def forward(self, x, depth):
        return x if not depth else self(x + 1, depth - 1)


X = torch.ones(3, 4)
