"""Compiles tiny models of several architectures and prints, as JSON, what must be the same with and
without autoinstr: digests of outputs and gradients, graphs, breaks and recompiles.

Arguments: "native", "agent" or "switched", the backend, then the architectures; those with a "+"
run a backward too. "switched" turns the ranges off and on between the calls."""

from __future__ import annotations

import json
import sys

import torch
from architectures import build
from torch._dynamo.utils import counters
from truth import digest

torch.set_num_threads(1)


def count() -> dict[str, object]:
    """Return what torch.compile counted for one architecture, and begin again."""
    counts = {
        "graphs": counters["stats"].get("unique_graphs"),
        "operators": counters["stats"].get("calls_captured"),
        "breaks": dict(counters["graph_break"]),
        "frames": dict(counters["frames"]),
        "recompiles": dict(counters["recompiles"]),
        "cache": {
            f"{part} {end}": counters[part].get(f"{prefix}_cache_{end}", 0)
            for part, prefix in (("inductor", "fxgraph"), ("aot_autograd", "autograd"))
            for end in ("hit", "miss")
        },
    }
    counters.clear()
    torch._dynamo.reset()
    return counts


def toggle() -> None:
    """Turn the ranges off, or on again."""
    from autoinstr.agent import bootstrap

    session = bootstrap.get_session()
    if session.compiled_ranges._is_on:
        session.switch_off("the test")
    else:
        session.switch_on("the test")


def run(name: str, backend: str, has_backward: bool, is_switched: bool) -> dict[str, object]:
    model, inputs = build(name)
    compiled = torch.compile(model, backend=backend)
    digests = []
    # The third call has another batch size: it is compiled again, with dynamic shapes.
    for repeats in (1, 1, 3) if not has_backward else (1, 1):
        repeated = {key: torch.cat([value] * repeats) for key, value in inputs.items()}
        torch.manual_seed(1)
        with torch.set_grad_enabled(has_backward):
            output = compiled(**repeated)
            found = [output]
            if has_backward:
                model.zero_grad(set_to_none=True)
                output[0].square().mean().backward()
                found += [
                    parameter.grad for parameter in model.parameters() if parameter.grad is not None
                ]
        digests.append(digest(found))
        if is_switched:
            toggle()
    return {"digests": digests, **count()}


def main(how: str, backend: str, names: list[str]) -> None:
    outcomes = {
        name: run(name.rstrip("+"), backend, name.endswith("+"), how == "switched")
        for name in names
    }
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
