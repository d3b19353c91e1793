"""Train a model that has one slow layer, without any use of autoinstr.

Run: python train_tiny.py
"""

import argparse

import torch
from torch import nn


class Block(nn.Module):
    """Two linear layers with a residual connection."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.down(torch.relu(self.up(values)))


class Net(nn.Module):
    """Six blocks, of which `slow_layer` is sixteen times as wide as the others."""

    def __init__(self, slow_layer: int, width: int = 64) -> None:
        super().__init__()
        sizes = [2048 if layer == slow_layer else 128 for layer in range(6)]
        self.layers = nn.ModuleList(Block(width, hidden) for hidden in sizes)
        self.head = nn.Linear(width, 10)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            values = layer(values)
        return self.head(values)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slow-layer", type=int, default=2, help="-1: none")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--trace", help="write a torch.profiler trace to this file")
    args = parser.parse_args()
    torch.manual_seed(0)
    size = 32 * args.steps
    data = torch.utils.data.TensorDataset(torch.rand(size, 64), torch.randint(10, (size,)))
    model, loss = Net(args.slow_layer), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    profiler = torch.profiler.profile(record_shapes=True) if args.trace else None
    if profiler:
        profiler.start()
    for inputs, labels in torch.utils.data.DataLoader(data, batch_size=32):
        optimizer.zero_grad()
        loss(model(inputs), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    if profiler:
        profiler.stop()
        profiler.export_chrome_trace(args.trace)


if __name__ == "__main__":
    main()
