"""A small model, called many times: `layered.py LAYERS CALLS [SLOW LAYER]`. Each layer spins for
a millisecond of wall time, the slow layer for ten. The program takes priority where it may, so that
a busy machine hardly changes its times."""

from __future__ import annotations

import contextlib
import os
import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, spin_s: float) -> None:
        super().__init__()
        self.attn = nn.Linear(32, 32)
        self.mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.spin_s = spin_s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        until = time.perf_counter() + self.spin_s
        while time.perf_counter() < until:
            pass
        return x + self.mlp(self.attn(x))


class Net(nn.Module):
    def __init__(self, layers: int, slow: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Block(0.01 if index == slow else 0.001) for index in range(layers)
        )
        self.head = nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


layers, calls = int(sys.argv[1]), int(sys.argv[2])
slow = int(sys.argv[3]) if len(sys.argv) > 3 else -1
torch.set_num_threads(1)
with contextlib.suppress(OSError):
    os.nice(-20)
net, x = Net(layers, slow), torch.ones(4, 32)
with torch.no_grad():
    for _ in range(calls):
        net(x)
