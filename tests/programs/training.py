"""A small transformer, trained as such scripts are: DDP over gloo, workers that load data, AdamW
with a schedule, clipping, checkpoints.

argv: a folder for checkpoints. To be started by torchrun. Each rank prints its losses, bit for bit.
Knows nothing of autoinstr."""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

EPOCHS, SAMPLES, BATCH, LENGTH, WORDS, WIDTH = 2, 48, 4, 12, 50, 32


class Text(Dataset):
    """Sequences of words, each made from its number."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        words = torch.randint(WORDS, (LENGTH + 1,), generator=torch.Generator().manual_seed(index))
        return words[:-1], words[1:]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH), nn.Dropout(0.1)
        )

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, words):
        x = self.embedding(words)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def main() -> None:
    folder = sys.argv[1]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(100 + rank)
    model = Transformer()
    start = os.path.join(folder, "start.pt")
    if rank == 0:
        torch.save(model.state_dict(), start)
    dist.barrier()
    model.load_state_dict(torch.load(start))
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(parallel.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    data = Text()
    sampler = DistributedSampler(data, shuffle=True, seed=3)
    loader = DataLoader(data, BATCH, sampler=sampler, num_workers=2)
    losses = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        total = torch.zeros(1)
        for words, following in loader:
            optimizer.zero_grad()
            logits = parallel(words)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parallel.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append((float(loss.detach()).hex(), float(norm).hex()))
            total += loss.detach()
        dist.all_reduce(total)
        losses.append((float(total / size).hex(),))
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict()},
        os.path.join(folder, f"end{rank}.pt"),
    )
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.write(f"rank {rank}: {losses}\n")


if __name__ == "__main__":
    main()
