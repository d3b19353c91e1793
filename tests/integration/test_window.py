"""Test which steps `window` records: optimizer steps if there is an optimizer, else outermost
calls, counted from zero at each activation."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conftest import Python
from tests.support.recorded import ranges, the_recording

CALLS = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
for _ in range(10):
    net(torch.zeros(1, 2))
print(torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl)
"""

TRAINING = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(10):
    net(torch.zeros(1, 2)).sum().backward()
    net(torch.zeros(1, 2))  # a second outermost call in each step
    optimizer.step()
print(torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl)
"""

TWICE = """
import torch
from torch.profiler import ProfilerActivity, profile
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
for _ in range(2):
    with profile(activities=[ProfilerActivity.CPU]):
        for _ in range(5):
            net(torch.zeros(1, 2))
    net(torch.zeros(1, 2))
print(torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl)
"""

COMPILED = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
net = torch.compile(net, backend="aot_eager", fullgraph=True)
head = torch.nn.Linear(2, 1)
for _ in range(6):
    head(net(torch.zeros(1, 2)))
print(torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl)
"""

# A validation between the construction of the optimizer and the training.
FROZEN = """
import gc
import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
optimizer = torch.optim.Adam(net.parameters())
gc.collect()
gc.freeze()
for _ in range(5):
    net(torch.zeros(1, 2))
for _ in range(10):
    net(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
gc.unfreeze()  # or libraries of torch complain at the end
print(torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl)
"""

# The only optimizer is a copy, of a class of the script. An earlier one is dropped.
COPIED = """
import copy, gc
import torch
class Descent(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
for _ in range(2):
    net(torch.zeros(1, 2))
optimizer = Descent(net.parameters(), lr=0.1)
del optimizer
gc.collect()
net(torch.zeros(1, 2))
net, optimizer = copy.deepcopy((net, Descent(net.parameters(), lr=0.1)))
gc.collect()
gc.freeze()
for _ in range(5):
    net(torch.zeros(1, 2))
for _ in range(10):
    net(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
gc.unfreeze()  # or libraries of torch complain at the end
print(torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl)
"""


@pytest.mark.parametrize(
    ("program", "window", "roots", "out_again"),
    [
        (CALLS, "3:4", {"Sequential": 4}, True),
        (CALLS, "8:", {"Sequential": 2}, False),
        (CALLS, "0:1", {"Sequential": 1}, True),
        (TRAINING, "2:3", {"Sequential": 6}, True),
        (FROZEN, "1:2", {"Sequential": 2}, True),
        (COPIED, "4:2", {"Sequential": 2}, True),  # three calls without an optimizer are steps
        (TWICE, "1:2", {"Sequential": 4}, True),
    ],
    ids=["calls", "calls-open", "first-call", "optimizer", "frozen", "copied", "each-activation"],
)
def test_window(
    python: Python, program: str, window: str, roots: dict[str, int], out_again: bool
) -> None:
    (python.cwd / "program.py").write_text(program)
    when = {"AUTOINSTR_WHEN": "profiling"} if program is TWICE else {}
    done = python.run(
        "program.py", env={"AUTOINSTR_WINDOW": window, "AUTOINSTR_OUT": "out", **when}
    )
    # Kineto says when it starts and stops, and in a CUDA build that there is no GPU.
    own = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith("USDT:") and "DeviceProperties.cpp" not in line
    ]
    assert (done.returncode, own) == (0, [])
    assert done.stdout == f"{out_again}\n"  # after its last step the window costs nothing
    found = Counter(one.cls for one in ranges(the_recording(python.cwd / "out")) if not one.path)
    assert found == roots


def test_steps_are_counted_beside_a_compiled_model(python: Python) -> None:
    """The wrapper that counts must be as invisible to torch.compile as the usual one:
    fullgraph=True would raise."""
    (python.cwd / "program.py").write_text(COMPILED)
    done = python.run("program.py", env={"AUTOINSTR_WINDOW": "2:3", "AUTOINSTR_OUT": "out"})
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        sum(
            one.cls in ("OptimizedModule", "Linear")
            for one in ranges(the_recording(python.cwd / "out"))
        )
        > 0
    )
