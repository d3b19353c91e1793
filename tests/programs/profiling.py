"""Takes torch.profiler traces with Python stacks and prints the `nn.Module:` events of each, and
how the profiler found them nested."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch
from nets import Net, X
from torch import nn
from torch.profiler import ProfilerActivity, profile

torch.set_num_threads(1)


def events(with_stack: bool, with_modules: bool, model: nn.Module) -> dict[str, int]:
    """Name of a Python event of a module and of its parent -> how often; numbers of instances are
    torch's own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        with profile(
            activities=[ProfilerActivity.CPU], with_stack=with_stack, with_modules=with_modules
        ) as profiler:
            model(X)
            model(X)
        profiler.export_chrome_trace(str(file))
        trace = json.loads(file.read_text())["traceEvents"]
    python = {
        event["args"]["Python id"]: event
        for event in trace
        if event.get("cat") == "python_function"
    }
    found: Counter[str] = Counter()
    for event in python.values():
        if not event["name"].startswith("nn.Module:"):
            continue
        above = event
        while above is not None and (above is event or not above["name"].startswith("nn.Module:")):
            above = python.get(above["args"].get("Python parent id"))
        found[f"{above['name'] if above else '-'} > {event['name']}"] += 1
    return dict(found)


def operators(model: nn.Module) -> dict[str, int]:
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        model(X)
    return {event.key: event.count for event in profiler.key_averages()}


def main() -> None:
    switch = lambda on: None  # noqa: E731
    if sys.argv[1] == "agent":
        from autoinstr.agent import bootstrap

        session = bootstrap.get_session()
        switch = lambda on: (session.switch_on if on else session.switch_off)("test")  # noqa: E731
    torch.manual_seed(0)
    model = Net()
    model(X)
    found = {"first": events(True, True, model)}
    model(X)
    found["second"] = events(True, False, model)
    switch(False)
    found["switched off"] = events(True, True, model)
    switch(True)
    found["switched on"] = events(False, True, model)
    found["another model"] = events(True, True, nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    found["operators"] = operators(model)
    found["legacy"] = {
        event.key: event.count
        for event in torch_autograd(model)
        if event.key.startswith("nn.Module")
    }
    model(X)
    print(json.dumps({"found": found, "call": nn.Module.__call__ is nn.Module._wrapped_call_impl}))


def torch_autograd(model: nn.Module) -> list:
    with torch.autograd.profiler.profile(with_stack=True) as profiler:
        model(X)
    return list(profiler.key_averages())


main()
