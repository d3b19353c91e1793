"""Modules in the processes that torch starts itself: DDP on gloo with 2 ranks, DataLoader workers
by fork and by spawn."""

from __future__ import annotations

import json
import os
import sys
import tempfile

import torch
import torch.distributed
import torch.multiprocessing
from nets import Net, X
from torch import nn
from torch.utils.data import DataLoader, Dataset
from truth import digest

torch.set_num_threads(1)


class Scale(nn.Module):
    def forward(self, x):
        return x * 2


class Scaled(Dataset):
    """Calls a module for each sample, in the worker."""

    def __init__(self) -> None:
        self.scale = Scale()

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.scale(torch.full((4,), float(index)))


def rank(number: int, meeting: str, results: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=number, world_size=2
    )
    torch.manual_seed(0)
    net = nn.parallel.DistributedDataParallel(Net())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        net(X * (number + 1)).sum().backward()
        optimizer.step()
    with open(f"{results}-{number}", "w") as stream:
        stream.write(digest(net.state_dict()))
    torch.distributed.destroy_process_group()


def ddp() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        results = os.path.join(folder, "result")
        torch.multiprocessing.spawn(rank, (os.path.join(folder, "meeting"), results), nprocs=2)
        return [open(f"{results}-{number}").read() for number in range(2)]


def loaded(how: str) -> str:
    net = nn.Sequential(nn.Linear(4, 4))
    batches = DataLoader(Scaled(), batch_size=2, num_workers=2, multiprocessing_context=how)
    return digest([net(batch) for batch in batches])


if __name__ == "__main__":
    torch.manual_seed(0)
    work = {"ddp": ddp, "fork": lambda: loaded("fork"), "spawn": lambda: loaded("spawn")}[
        sys.argv[1]
    ]
    print(json.dumps({"pid": os.getpid(), "result": work()}))
