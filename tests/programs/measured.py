"""Trains for a number of steps, then waits for the file `stop`: `measured.py FOLDER STEPS`.

At the end it prints which packages of metrics it has imported."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))
        self.head = torch.nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(steps):
    net(torch.ones(1, 4)).sum().backward()
    optimizer.step()
(folder / "done").touch()
while not (folder / "stop").exists():
    time.sleep(0.05)
print(
    sorted({"prometheus_client", "opentelemetry.sdk", "autoinstr.agent.metrics"} & {*sys.modules})
)
