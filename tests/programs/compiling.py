"""torch.compile: prints graphs, breaks, recompiles and the code that was traced, with the agent on,
off, and switched in between.

argv: `native`, `agent` (the gate has switched it on) or `late` (activated by hand when
torch._dynamo has been imported), then the backends."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import torch
from nets import Net, X
from torch import nn
from truth import digest

torch.set_num_threads(1)
HOW, BACKENDS = sys.argv[1], sys.argv[2:]
if HOW == "late":
    import torch._dynamo

    sys.path.append(os.environ["REPOSITORY"])
    from autoinstr.agent import bootstrap

    bootstrap.activate()

import torch._dynamo.symbolic_convert as symbolic_convert  # noqa: E402
from torch._dynamo.utils import counters  # noqa: E402

SESSION = (
    sys.modules["autoinstr.agent.bootstrap"].get_session()
    if "autoinstr.agent.bootstrap" in sys.modules
    else None
)
assert (SESSION is None) == (HOW == "native")
TRACED: set[str] = set()


def note_traced_code() -> None:
    """Every piece of code that dynamo interprets, also what it inlines, gets a translator: that is
    what it has traced."""
    translator = symbolic_convert.InstructionTranslatorBase
    run = translator.run

    def noting(self):
        code = self.f_code
        TRACED.add(f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}:{code.co_name}")
        return run(self)

    translator.run = noting


def switch(on: bool) -> None:
    if SESSION is not None:
        (SESSION.switch_on if on else SESSION.switch_off)("test")


def facts() -> dict:
    """What dynamo counted since the last time."""
    stats, frames = dict(counters["stats"]), dict(counters["frames"])
    breaks = sum(counters["graph_break"].values())
    recompiles = sum(counters["recompiles"].values()) if "recompiles" in counters else 0
    traced = sorted(TRACED)
    counters.clear()
    TRACED.clear()
    return {
        "stats": stats,
        "frames": frames,
        "breaks": breaks,
        "recompiles": recompiles,
        "traced": traced,
    }


def fresh() -> None:
    torch._dynamo.reset()
    counters.clear()
    TRACED.clear()
    torch.manual_seed(0)


class Breaks(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        x = self.net(x)
        torch._dynamo.graph_break()
        return self.net(x @ torch.ones(2, 4))


class OwnCall(nn.Linear):
    """As the layers of transformers: torch._dynamo checks that Module.__call__ stays."""

    def __call__(self, *args):
        return super().__call__(*args)


def run_cases(backend: str) -> dict:
    def compile_(module, **options):
        return torch.compile(module, backend=backend, **options)

    found = {}
    fresh()
    explained = torch._dynamo.explain(Net())(X)
    found["explain"] = [explained.graph_count, explained.graph_break_count, explained.op_count]
    fresh()
    net = Net()
    compiled = compile_(net, fullgraph=True)
    results = [digest(compiled(X)), digest(compiled(X))]
    switch(False)
    results.append(digest(compiled(X)))
    switch(True)
    results += [digest(compiled(X)), digest(net(X))]
    found["compiled while on"] = [results, facts()]
    fresh()
    switch(False)
    net = Net()
    compiled = compile_(net, fullgraph=True)
    results = [digest(compiled(X))]
    switch(True)
    results += [
        digest(compiled(X)),
        digest(compiled(torch.ones(5, 4))),
        digest(compiled(torch.ones(7, 4))),
    ]
    switch(False)
    results.append(digest(compiled(X)))
    switch(True)
    found["compiled while off"] = [results, facts()]
    if backend == "inductor":
        return found
    fresh()
    broken = compile_(Breaks())
    found["graph breaks"] = [[digest(broken(X)), digest(broken(X))], facts()]
    fresh()
    hooked = Net()
    seen = []
    hooked.blocks[0].register_forward_hook(lambda m, a, r: r * 2)
    hooked.head.register_forward_pre_hook(lambda m, a: seen.append(1))
    compiled = compile_(hooked)
    results = [digest(compiled(X)), digest(compiled(X))]
    switch(False)
    results.append(digest(compiled(X)))
    switch(True)
    found["hooks inside"] = [[*results, digest(compiled(X)), len(seen)], facts()]
    fresh()
    switch(False)
    hooked = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    hooked[1].register_forward_hook(lambda m, a, r: r * 2)
    compiled = compile_(hooked, fullgraph=True)
    results = [digest(compiled(X))]
    switch(True)
    found["hooks compiled while off"] = [
        [*results, digest(compiled(X)), digest(compiled(X))],
        facts(),
    ]
    fresh()
    compiled = compile_(nn.Sequential(OwnCall(4, 4), nn.ReLU()), fullgraph=True)
    results = [digest(compiled(X))]
    switch(False)
    results.append(digest(compiled(X)))
    switch(True)
    found["a class's own __call__"] = [[*results, digest(compiled(X))], facts()]
    fresh()
    in_place = Net()
    in_place.compile(backend=backend, fullgraph=True)
    outer = nn.Sequential(in_place, nn.ReLU())
    found["Module.compile"] = [[digest(in_place(X)), digest(outer(X)), digest(outer(X))], facts()]
    fresh()
    net = Net()
    function = compile_(lambda x: net(x) + net.head(net.blocks[0](x)), fullgraph=True)
    found["a function of modules"] = [[digest(function(X)), digest(function(X))], facts()]
    fresh()
    net = Net().requires_grad_(True)
    compiled = compile_(net, fullgraph=True)
    compiled(X).sum().backward()
    found["backward"] = [digest([one.grad for one in net.parameters()]), facts()]
    return found


def race() -> dict:
    """One thread compiles in a loop while another switches, for a second and often enough."""
    fresh()
    stop = threading.Event()
    switched = [0]

    def toggling():
        while not stop.is_set():
            switch(False)
            switch(True)
            switched[0] += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=toggling)
    thread.start()
    end = time.monotonic() + 1
    compiled, outputs, graphs, traced = 0, set(), set(), set()
    try:
        while time.monotonic() < end or compiled < 6 or switched[0] < 200:
            fresh()
            outputs.add(digest(torch.compile(Net(), backend="eager", fullgraph=True)(X)))
            stats = facts()
            graphs.add(
                (
                    stats["stats"].get("unique_graphs"),
                    stats["breaks"],
                    stats["stats"].get("calls_captured"),
                )
            )
            traced.add(tuple(stats["traced"]))
            compiled += 1
    finally:
        stop.set()
        thread.join()
    return {
        "compiled": compiled,
        "switched": switched[0],
        "outputs": sorted(outputs),
        "graphs": sorted(graphs),
        "traced": sorted(traced),
    }


note_traced_code()
found = {backend: run_cases(backend) for backend in BACKENDS}
raced = race()
print(
    json.dumps(
        {"found": found, "race": raced, "call": nn.Module.__call__ is nn.Module._wrapped_call_impl}
    )
)
