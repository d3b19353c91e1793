"""Two ranks in step, or one alone: `in_steps.py FOLDER COUNT`, under torchrun's variables.

Each rank trains until FOLDER has the file `stop`; then it prints its steps, and whether torch's own
function is in place. With COUNT 0 there is no optimizer: every call is a step."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

folder, has_optimizer = Path(sys.argv[1]), sys.argv[2] != "0"
torch.set_num_threads(1)
rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
if size > 1:
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=size)
net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
optimizer = torch.optim.SGD(net.parameters(), lr=0.1) if has_optimizer else None
steps, stop = 0, torch.zeros(1)
while not stop[0]:
    loss = net(torch.zeros(1, 4)).sum()
    if optimizer is not None:
        loss.backward()
        optimizer.step()
    steps += 1
    if steps == 3:
        (folder / f"running-{rank}").touch()
    time.sleep(0.01)
    stop[0] = float((folder / "stop").exists())
    if size > 1:
        dist.all_reduce(stop)
native = torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl
print(steps, "torch" if native else "autoinstr", flush=True)
