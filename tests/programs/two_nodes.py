"""One rank of several, as torchrun starts them: a module call and collectives over gloo, in turn.
Knows nothing of autoinstr."""

from __future__ import annotations

import sys
import time

import torch
import torch.distributed as dist
from torch import nn


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    for step in range(int(sys.argv[1])):
        with torch.no_grad():
            out = model(torch.ones(2, 8))
        if step % dist.get_world_size() == dist.get_rank():
            time.sleep(
                0.02
            )  # somebody comes late every time: the others wait for it inside the collective
        dist.all_reduce(out)
    dist.destroy_process_group()


main()
