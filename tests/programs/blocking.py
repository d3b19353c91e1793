"""A training script that must not be interrupted while it saves, and its forked child. Each prints
what happened, and which signals its other threads take."""

from __future__ import annotations

import os
import signal
import time

import torch
from torch import nn

torch.set_num_threads(1)
net = nn.Linear(2, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
BLOCKED = {signal.SIGTERM, signal.SIGUSR1}


def train() -> None:
    optimizer.zero_grad()
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def list_open_signals() -> list[str]:
    """Return the masks of the other threads that take a signal. They are ours: torch has none."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            mask = next(line.split()[1] for line in status if line.startswith("SigBlk"))
        # SIGKILL and SIGSTOP cannot be blocked, and two belong to the C library
        if int(task) != os.getpid() and int(mask, 16) & 0x7FFFFFFF != 0x7FFBFEFF:
            found.append(mask)
    return found


def save() -> list[str]:
    order = ["saving"]
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.5)
    order.append("saved")
    order.append(signal.sigwait({signal.SIGTERM}).name)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
    return order


order: list[str] = []
signal.signal(signal.SIGUSR1, lambda number, frame: order.append("handled"))
train()
print(save(), order, list_open_signals(), flush=True)
child = os.fork()
order.clear()
for _ in range(3):
    train()
    time.sleep(0.1)  # the thread starts again
print("child" if not child else "parent", save(), order, list_open_signals(), flush=True)
if not child:
    os._exit(0)
print(os.waitpid(child, 0)[1])
