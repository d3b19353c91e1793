"""Profiles training steps with stacks, twice, and prints what was imported meanwhile.

argv: `early` has ranges before the first profile, `late` has not."""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

import autoinstr

torch.set_num_threads(1)
imported: list[str] = []


def note_import(event: str, arguments: tuple) -> None:
    if event == "import" and torch._C._autograd._profiler_enabled():
        imported.append(arguments[0])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def __call__(self, x):
        return super().__call__(x)

    def forward(self, x):
        return self.layer(x)


def train(net, optimizer):
    with autoinstr.range("batch") as running:
        running.note(count=1)
        optimizer.zero_grad()
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    autoinstr.mark("done", count=2)


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
if sys.argv[1] == "early":
    train(net, optimizer)
sys.addaudithook(note_import)
for _ in range(2):
    with profile(activities=[ProfilerActivity.CPU], with_stack=True) as profiler:
        train(net, optimizer)
        decorated = autoinstr.range("decorated")(lambda: 3)
        with record_function("own"):
            decorated()
    profiler.key_averages()
print(sorted(set(imported)))
