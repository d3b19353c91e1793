"""The real torch_npu profile, its offline analysis and the real msprof-analyze: the module table of
a small transformer.

The truth comes from named_modules() and from torch's own global forward hooks, counted in a run
before the profile. What this leaves unproved: device times, and which kernels a real device would
run: those of the simulation are one a operator, as long as the CPU took."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from typing import Any, NamedTuple

import pytest

from tests.npu import simulated
from tests.npu.exported import database, module_statistic, outputs, rows, tasks
from tests.npu.simulated import Ran, RunNpu

MODEL = """
from torch import nn
class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out((q @ k.transpose(-1, -2)).softmax(-1) @ v)
class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width,
            width)
    def forward(self, x):
        return self.down(self.act(self.up(x)))
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.attention, self.mlp = nn.LayerNorm(width), Attention(width), Mlp(width)
    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x)
class Model(nn.Module):
    def __init__(self, layers=3, width=16):
        super().__init__()
        self.embed, self.layers = nn.Embedding(32,
            width), nn.ModuleList(Block(width) for _ in range(layers))
        self.head = nn.Linear(width, 32)
    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)
torch.manual_seed(0)
model, tokens = Model().npu(), (torch.arange(12).reshape(2, 6) % 32).npu()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
def infer():
    with torch.no_grad():
        model(tokens)
def train():
    loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    loss.backward(); optimizer.step(); optimizer.zero_grad()
    losses.append(loss.item())
def program():
    infer(); infer(); train()
"""
PROFILE = """
with profile("prof", level="Level1", analyse=False):
    program()
P.profiler.analyse("prof", export_type=["db"])
give(losses=losses)
"""
TRUTH = """
hooks, stack, calls, trained = nn.modules.module, [], [], []
def enter(module, arguments):
    stack.append(module)
    path = "/".join(type(module).__name__ for module in stack)
    (trained if torch.is_grad_enabled() else calls).append(path)
counting = [hooks.register_module_forward_pre_hook(enter),
    hooks.register_module_forward_hook(lambda *_: stack.__delitem__(-1))]
program()
[handle.remove() for handle in counting]
names = {"": "Model"}
for name, module in model.named_modules():
    if name:
        parent = name.rpartition(".")[0]
        # has no forward, and is not called
        while isinstance(model.get_submodule(parent), nn.ModuleList):
            parent = parent.rpartition(".")[0]
        names[name] = names[parent] + "/" + type(module).__name__
give(calls=calls + trained, trained=trained,
    names=[path for path in names.values() if not path.endswith("ModuleList")])
"""
RANGES = """
opened = []
hooks.register_module_forward_pre_hook(lambda module,
    _: opened.append(bound._range_start_on_host(type(module).__name__, "Module")))
hooks.register_module_forward_hook(lambda *_: bound._range_end(opened.pop(), "Module"))
"""


class Row(NamedTuple):
    """One of the module table: an operator of a module, with its kernels."""

    path: str
    operator: str
    kernels: str
    total_ns: float
    count: int


class Profiled(NamedTuple):
    """What became of a program, and the module table of its profile."""

    ran: Ran
    table: list[Row]

    @property
    def forward(self) -> list[Row]:
        return [row for row in self.table if "[Backward]" not in row.path]

    @property
    def backward(self) -> list[Row]:
        return [row for row in self.table if "[Backward]" in row.path]


def profiled(ran: Ran) -> Profiled:
    try:
        out = module_statistic(ran.folder / "prof", ran.folder / "statistic")
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    query = (
        "SELECT parentModule, module, opName, kernelList, `totalKernelDuration(ns)`, opCount "
        "FROM ModuleStatistic"
    )
    found = rows(out / "cluster_analysis.db", query)
    return Profiled(ran, [Row("/".join(filter(None, row[:2])), *row[2:]) for row in found])


@pytest.fixture(scope="module")
def marked(npu: RunNpu) -> Profiled:
    """The program with ranges made by hand, and the truth about it."""
    return profiled(npu(MODEL + TRUTH + RANGES + PROFILE))


@pytest.fixture(scope="module")
def unedited(npu: RunNpu) -> Profiled:
    """The same program as it is, run under the agent."""
    return profiled(npu(MODEL + PROFILE, agent=True))


@pytest.fixture(params=["marked", "unedited"])
def either(request: pytest.FixtureRequest) -> Profiled:
    found: Profiled = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def truth(marked: Profiled) -> dict[str, Any]:
    """How often each path of classes was called: in all, and with gradients."""
    given = marked.ran.given
    assert Counter(given["calls"]) == Counter(
        {path: 3 * n for path, n in Counter(given["names"]).items()}
    )  # two inferences, one step
    return {"calls": Counter(given["calls"]), "trained": Counter(given["trained"])}


def with_parents(paths: set[str]) -> set[str]:
    """Modules without an operator of their own are in the table as parents."""
    return {
        "/".join(path.split("/")[: depth + 1])
        for path in paths
        for depth in range(path.count("/") + 1)
    }


def test_the_module_tree_is_that_of_the_program(either: Profiled, truth: dict[str, Any]) -> None:
    assert with_parents({row.path for row in either.forward}) == set(truth["calls"])


def test_each_operator_of_a_module_is_counted_once_a_call(
    either: Profiled, truth: dict[str, Any]
) -> None:
    assert {row.path: row.count for row in either.forward} == {
        row.path: truth["calls"][row.path] for row in either.forward
    }
    per_module = Counter(row.path for row in either.forward)
    assert (
        per_module["Model/Block/Attention"] == 3 and per_module["Model/Block"] == 2
    )  # matmul, softmax, matmul; two additions
    assert all(
        per_module[path] == 1
        for path in per_module
        if path.endswith(("Linear", "GELU", "LayerNorm", "Embedding"))
    )


def test_backward_is_shown_for_the_modules_of_the_training_step(
    either: Profiled, truth: dict[str, Any]
) -> None:
    paths = {row.path.replace("[Backward]", "") for row in either.backward}
    assert {
        path
        for path in truth["calls"]
        if path.endswith(("Linear", "GELU", "LayerNorm", "Embedding", "Attention"))
    } == paths
    assert all(
        row.count == truth["trained"][row.path.replace("[Backward]", "")] for row in either.backward
    )


def test_self_consistency_not_proof_the_kernel_times_of_a_module_are_those_of_its_operators(
    either: Profiled,
) -> None:
    """By what was in a range of Module on the host, added up here from the database that the table
    was made from."""
    path = database(either.ran, "prof")
    query = (
        "SELECT startNs, endNs FROM MSTX_EVENTS e JOIN STRING_IDS m ON m.id = e.message WHERE "
        "m.value = 'Model'"
    )
    calls = rows(path, query)
    inside = [
        task
        for task in tasks(path)
        if task.operator
        and any(start <= task.op_start and task.op_end <= end for start, end in calls)
    ]
    kernels = {
        task.start: task for task in inside
    }.values()  # a forward operator may have one link more, to its backward
    expected = Counter[str]()
    for task in kernels:
        expected[task.kernel] += task.end - task.start
    found = Counter[str]()
    for row in either.forward:
        found[row.kernels] += round(row.total_ns)
    assert len(calls) == 3 and found == expected


def test_the_text_export_has_the_same_modules_and_operators(marked: Profiled) -> None:
    out = module_statistic(marked.ran.folder / "prof", marked.ran.folder / "as text", "text")
    [sheet] = out.rglob("*.xlsx")
    with zipfile.ZipFile(sheet) as book:
        texts = set(re.findall(r"<t[^>]*>([^<]*)</t>", book.read("xl/sharedStrings.xml").decode()))
    assert {row.path.rpartition("/")[2] for row in marked.table} | {
        row.operator for row in marked.table
    } <= texts


def test_the_agent_changes_no_loss(marked: Profiled, unedited: Profiled) -> None:
    assert (
        unedited.ran.given["losses"] == marked.ran.given["losses"][:1]
    )  # the others have counted before they profiled


def test_nothing_but_the_database_is_exported(unedited: Profiled) -> None:
    assert {path.suffix for path in outputs(unedited.ran, "prof").iterdir()} == {".db", ".done"}
