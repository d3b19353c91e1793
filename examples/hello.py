"""Train a small network for ten steps: an ordinary torch script, for a first look.

Run it under the agent: `autoinstr run -- python examples/hello.py`."""

import torch
from torch import nn


class Block(nn.Module):
    """A residual block: up, activation, down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.activation = nn.GELU()
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.activation(self.up(x)))


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(Block(256) for _ in range(4)), nn.LayerNorm(256), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, labels = torch.randn(64, 256), torch.randint(10, (64,))
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
    print(f"loss after 10 steps: {loss.item():.4f}")


if __name__ == "__main__":
    main()
