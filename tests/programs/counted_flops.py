"""Counts the FLOPs of tiny models by torch.utils.flop_counter, and profiles the same runs.

`counted_flops.py TRACE NAME… forward NAME…` runs each model forward and backward; those after the
word `forward` only forward. It prints the counts of the latter by module, and the sum of all.
"""

from __future__ import annotations

import json
import sys

import torch
from architectures import build
from torch.utils import flop_counter


def run(model, given, with_backward: bool):
    with torch.set_grad_enabled(with_backward):
        output = model(**given)
        tensors = output.to_tuple() if hasattr(output, "to_tuple") else output
        first = next(one for one in tensors if torch.is_tensor(one) and one.is_floating_point())
        if with_backward:
            first.float().sum().backward()
    return output


def main(trace: str, names: list[str]) -> None:
    position = names.index("forward") if "forward" in names else len(names)
    with_backward = {name: number < position for number, name in enumerate(names)}
    with_backward.pop("forward", None)
    models = {name: build(name) for name in with_backward}
    modules: dict[str, int] = {}
    total = 0
    for name, has_backward in with_backward.items():
        run(*models[name], has_backward)
        with flop_counter.FlopCounterMode(display=False) as counter:
            run(*models[name], has_backward)
        total += counter.get_total_flops()
        if not has_backward:
            for path, counts in counter.get_flop_counts().items():
                if path != "Global":
                    modules[path] = sum(counts.values())
    outputs = []  # what lives on is not freed
    with torch.profiler.profile(record_shapes=True, profile_memory=True) as profile:
        for name, has_backward in with_backward.items():
            outputs.append(run(*models[name], has_backward))
    profile.export_chrome_trace(trace)
    net_bytes = sum(entry.self_cpu_memory_usage for entry in profile.key_averages())
    print(json.dumps({"modules": modules, "total": total, "net_bytes": net_bytes}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
