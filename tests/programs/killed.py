"""Four threads call modules; each writes to a pipe, unbuffered, its number after each outermost
call that has ended, until it is killed.

argv: file descriptor of the pipe.
"""

from __future__ import annotations

import os
import sys
import threading

import torch
from torch import nn

torch.set_num_threads(1)
PIPE = int(sys.argv[1])
DEAD = 255


class Leaf(nn.Module):
    def forward(self, x):
        return x


class Tree(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.leaves = nn.ModuleList([Leaf(), Leaf(), Leaf()])

    def forward(self, x):
        for leaf in self.leaves:
            x = leaf(x)
        return x


def work(number: int) -> None:
    tree = Tree()
    said = bytes([number])
    while True:
        tree(None)
        os.write(PIPE, said)


def run() -> None:
    threads = [
        threading.Thread(target=work, args=(number,), name=f"worker-{number}", daemon=True)
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    threads[0].join()


# For each line of stdin a child, which is killed: importing torch anew for each would be most of
# the test's time.
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(1)
    print(child, flush=True)
    os.waitpid(child, 0)
    os.write(PIPE, bytes([DEAD]))
