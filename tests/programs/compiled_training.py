"""torch.compile around everything that a training step has beside its modules: prints what dynamo
counted and traced, and the results.

argv: the backend. Knows nothing of the agent.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile

import torch
import torch._dynamo.symbolic_convert as symbolic_convert
import torch.distributed as dist
from nets import X
from torch import nn
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from truth import digest

torch.set_num_threads(1)
BACKEND = sys.argv[1]
TRACED: set[str] = set()
REASONS = ("graph_break", "unimplemented", "recompiles")
FOUND: dict[str, object] = {}
Y = torch.linspace(-1, 1, 6).reshape(3, 2)


class Plain(torch.optim.Optimizer):
    """A user's optimizer."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for one in group["params"]:
                one.add_(one.grad, alpha=-group["lr"])


class Derived(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)


def note_traced_code() -> None:
    translator = symbolic_convert.InstructionTranslatorBase
    run = translator.run

    def noting(self):
        code = self.f_code
        TRACED.add(f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}:{code.co_name}")
        return run(self)

    translator.run = noting


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def case(function):
    """Run it from a fresh start and note what came of it, its error included."""
    torch._dynamo.reset()
    counters.clear()
    TRACED.clear()
    torch.manual_seed(0)
    try:
        result = function()
    except Exception as error:
        result = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    stats = {name: dict(counters[name]) for name in ("stats", "frames")}
    reasons = {
        name: sorted((text.splitlines()[0][:60], count) for text, count in counters[name].items())
        for name in REASONS
    }
    FOUND[function.__name__] = {"result": result, **stats, **reasons, "traced": sorted(TRACED)}


def compile_(function, **options):
    return torch.compile(function, backend=BACKEND, **options)


def weights(module):
    return digest([one.detach() for one in module.parameters()])


def whole_step(optimizer, fullgraph=False):
    model = net()
    optimizer = optimizer(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    compiled = compile_(step, fullgraph=fullgraph)
    losses = [float(compiled(X, Y)).hex() for _ in range(4)]
    return [losses, weights(model)]


def step_alone(optimizer, fullgraph=False):
    model = net()
    optimizer = optimizer(model.parameters())
    compiled = compile_(lambda: optimizer.step(), fullgraph=fullgraph)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(X), Y).backward()
        compiled()
    return weights(model)


def model_compiled():
    model = net()
    compiled = compile_(model, fullgraph=True)
    optimizer = torch.optim.AdamW(model.parameters())
    losses = []
    for x, y in DataLoader(list(zip(X, Y)), batch_size=1):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(compiled(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss).hex())
    return [losses, weights(model)]


def whole_adamw():
    return whole_step(lambda ps: torch.optim.AdamW(ps, lr=0.1))


def whole_sgd():
    return whole_step(lambda ps: torch.optim.SGD(ps, lr=0.1))


def whole_users_own():
    return whole_step(Plain)


def whole_derived():
    return whole_step(lambda ps: Derived(ps, lr=0.1))


def whole_fullgraph():
    return whole_step(lambda ps: torch.optim.AdamW(ps, lr=0.1), fullgraph=True)


def step_adamw():
    return step_alone(lambda ps: torch.optim.AdamW(ps, lr=0.1))


def step_fullgraph():
    return step_alone(lambda ps: torch.optim.SGD(ps, lr=0.1), fullgraph=True)


def step_users_own():
    return step_alone(Plain)


def step_users_own_fullgraph():
    return step_alone(Plain, fullgraph=True)


def backward_inside():
    model = net()

    def function(x):
        model(x).sum().backward()
        return x + 1

    compiled = compile_(function)
    return [
        digest(compiled(X)),
        digest(compiled(X)),
        digest([one.grad for one in model.parameters()]),
    ]


def backward_function_inside():
    model = net()

    def function(x):
        torch.autograd.backward(model(x).sum())
        return x + 1

    compiled = compile_(function)
    return [digest(compiled(X)), digest([one.grad for one in model.parameters()])]


def grad_inside():
    def function(x):
        return torch.autograd.grad((x * x).sum(), x)[0]

    return digest(compile_(function)(X.clone().requires_grad_(True)))


def grad_inside_fullgraph():
    def function(x):
        return torch.autograd.grad((x * x).sum(), x)[0]

    return digest(compile_(function, fullgraph=True)(X.clone().requires_grad_(True)))


def autograd_traced():
    """What newer versions can be told to do: torch.autograd.grad and backward as parts of a
    graph."""
    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        return None
    leaf = X.clone().requires_grad_(True)

    def backward(x):
        (x * x).sum().backward()
        return x.grad + 1

    def grad(x):
        return torch.autograd.grad((x * x).sum(), x)[0]

    with torch._dynamo.config.patch(trace_autograd_ops=True):
        return [digest(compile_(one, fullgraph=True)(leaf)) for one in (backward, grad)]


def clip_fullgraph():
    one = nn.Parameter(X.clone())
    one.grad = torch.ones_like(one)

    def function():
        return nn.utils.clip_grad_norm_([one], 0.5)

    return [digest(compile_(function, fullgraph=True)()), digest(one.grad)]


def clip_itself():
    one = nn.Parameter(X.clone())
    one.grad = torch.ones_like(one)
    return [digest(compile_(nn.utils.clip_grad_norm_)([one], 0.5)), digest(one.grad)]


def scaler_inside():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = (
        torch.amp.GradScaler("cpu", init_scale=4.0)
        if hasattr(torch, "amp") and hasattr(torch.amp, "GradScaler")
        else None
    )

    def step(x, y):
        loss = nn.functional.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss.detach()

    compiled = compile_(step)
    return [[float(compiled(X, Y)).hex() for _ in range(3)], weights(model)]


def files_inside():
    def function(x):
        buffer = io.BytesIO()
        torch.save(x + 1, buffer)
        buffer.seek(0)
        return torch.load(buffer) + 1

    return digest(compile_(function)(X))


def loader_inside():
    def function(loader):
        total = torch.zeros(4)
        for x in loader:
            total = total + x.sum(0)
        return total

    return digest(compile_(function)(DataLoader(X, batch_size=2)))


def collectives_fullgraph():
    def function(x):
        y = x * 2
        dist.all_reduce(y)
        out = torch.empty_like(y)
        dist.all_gather_into_tensor(out, y)
        part = torch.empty_like(y)
        dist.reduce_scatter_tensor(part, out)
        return part + 1

    return digest(compile_(function, fullgraph=True)(X.clone()))


def collectives_that_break():
    def function(x):
        y = x * 2
        dist.broadcast(y, 0)
        dist.barrier()
        dist.all_reduce(y, async_op=True).wait()
        return y + 1

    return digest(compile_(function)(X.clone()))


def other_collectives():
    def function(x):
        y = x * 2
        parts = [torch.empty_like(y)]
        dist.all_gather(parts, y)
        dist.all_to_all_single(y, parts[0])
        dist.reduce(y, 0)
        return y + 1

    return digest(compile_(function)(X.clone()))


def data_parallel():
    model = net()
    parallel = DistributedDataParallel(model)
    compiled = compile_(parallel)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(compiled(X), Y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss).hex())
    return [losses, weights(model)]


CASES = [
    model_compiled, whole_adamw, whole_sgd, whole_users_own, whole_derived, whole_fullgraph,
    step_adamw, step_fullgraph, step_users_own, step_users_own_fullgraph, backward_inside,
    backward_function_inside, grad_inside, grad_inside_fullgraph,
    autograd_traced, clip_fullgraph, clip_itself, scaler_inside, files_inside, loader_inside,
]  # fmt: skip
DISTRIBUTED = [collectives_fullgraph, collectives_that_break, other_collectives, data_parallel]

note_traced_code()
for one in CASES:
    case(one)
if dist.is_available():
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=0, world_size=1
        )
        for one in DISTRIBUTED:
            case(one)
        dist.destroy_process_group()
print(json.dumps(FOUND))
