"""A program whose names and threads fill a recording. argv: `copies` or `threads`, then `end` or
`kill`. It prints how many calls, ranges and marks it made."""

from __future__ import annotations

import copy
import os
import signal
import sys
import threading

import torch
from torch import nn

import autoinstr

torch.set_num_threads(1)
X = torch.ones(1, 2)
made = 0


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(*[nn.Linear(2, 2) for _ in range(6)])

    def __call__(self, x):
        return 2 * super().__call__(x)

    def forward(self, x):
        return self.inner(x)


@autoinstr.range("step")
def step(net: nn.Module, number: int) -> None:
    global made
    with autoinstr.range(f"batch {number}") as running:
        running.note(text="x" * 500)
        net(X)
    autoinstr.mark("done", text="y" * 500)
    made += 11  # eight module calls, two ranges and a mark


if sys.argv[1] == "copies":
    net = Scaled()
    for number in range(700):
        step(copy.deepcopy(net), number)
else:
    net = Scaled()
    for number in range(2500):
        thread = threading.Thread(target=step, args=(net, number % 5))
        thread.start()
        thread.join()
print(made, flush=True)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
