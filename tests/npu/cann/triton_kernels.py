"""What vllm-ascend has compiled on a real machine: run once by aclInit, when vLLM's modules are
there.

A real machine has triton-ascend. Here vLLM finds no Triton that can drive the device, and leaves
the undecorated function, which cannot be launched. vllm-ascend has another way for all other
kernels that a dense model needs.

Simulated: where each token goes in the key-value cache. Not simulated: every other kernel
('function' object is not subscriptable)."""

from __future__ import annotations

import functools
import sys
from typing import Any

import cannsim_kernels as kernels

NAME = "_compute_slot_mapping_kernel"
MODULES = ("vllm.v1.worker.block_table", "vllm_ascend.worker.block_table")


def slot_mapping(
    requests: int,
    tokens: int,
    most: int,
    starts: Any,
    positions: Any,
    table: Any,
    stride: int,
    block_size: int,
    out: Any,
    **constants: Any,
) -> None:
    """One slot a token, by its request's row of the block table; behind `tokens` there is padding.
    starts: of each request, and the end."""
    if constants["TOTAL_CP_WORLD_SIZE"] != 1:
        raise NotImplementedError(f"cannsim: {NAME} with context parallelism is not simulated")
    starts, positions, table, out = map(kernels.lowered, (starts, positions, table, out))
    for row in range(requests):
        span = slice(int(starts[row]), int(starts[row + 1]))
        where = positions[span].long()
        out[span] = table[row, where // block_size].long() * block_size + where % block_size
    out[tokens:most] = constants["PAD_ID"]


class Launcher:
    def __getitem__(self, grid: tuple[int]) -> Any:
        return functools.partial(slot_mapping, grid[0] - 1)  # the last one pads


for module in MODULES:
    if hasattr(sys.modules.get(module), NAME):
        setattr(sys.modules[module], NAME, Launcher())

# Whether there are custom operators is asked for first while torch.compile traces, which cannot
# trace an import that fails.
utils = sys.modules.get("vllm_ascend.utils")
if hasattr(utils, "enable_custom_op"):
    utils.enable_custom_op()
