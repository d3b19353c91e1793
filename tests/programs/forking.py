"""Forks inside of forward: the child finishes the call that its parent began, calls more, and
neither writes into the other's recording."""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings

import torch
from torch import nn

from autoinstr.recording.run import open_run

STILL_OPEN = []
torch.set_num_threads(1)
warnings.simplefilter("error")


class Forks(nn.Module):
    def forward(self, x):
        self.pid = os.fork()
        if self.pid:
            # The child ends this call, too, and all that it does, before its parent goes on: here
            # both ranges must still be open.
            assert os.waitpid(self.pid, 0)[1] == 0
            (mine,) = (
                one
                for one in open_run(os.environ["AUTOINSTR_OUT"]).recordings
                if one.pid == os.getpid()
            )
            STILL_OPEN.append(
                [
                    mine.names[one.name].cls
                    for one in mine.find_open_ranges()
                    if mine.names[one.name].cls != "Busy"
                ]
            )
        return x


class Leaf(nn.Module):
    def forward(self, x):
        return x


class Child(nn.Module):
    def __init__(self):
        super().__init__()
        self.leaf = Leaf()

    def forward(self, x):
        return self.leaf(x)


class Busy(Leaf):
    pass


def main() -> None:
    net = nn.Sequential(Leaf(), Forks(), Leaf())
    stop = threading.Event()
    busy = Busy()

    def work():
        while not stop.is_set():
            busy(None)

    thread = threading.Thread(target=work)
    if "busy" in sys.argv:
        thread.start()
    children = []
    for _ in range(3):
        net(None)
        if net[1].pid == 0:
            child = Child()
            child(None)
            child(None)
            grandchild = os.fork()
            if grandchild == 0:
                child(None)
                os._exit(0)
            os.waitpid(grandchild, 0)
            sys.stdout.flush()
            os._exit(0)
        children.append(net[1].pid)
    stop.set()
    if thread.ident:
        thread.join()
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "children": children,
                "open": STILL_OPEN,
                "threads": threading.active_count(),
            }
        )
    )


main()
