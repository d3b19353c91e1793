"""`autoinstr analyse` beside msprof-analyze's module_statistic, on databases of the real torch_npu.

Device time, calls and kernels of each operator of a module are equal, or the difference is a listed
fault of msprof-analyze (docs/ascend.md)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from autoinstr.device.ascend import check
from tests.npu import simulated, under_agent
from tests.npu.analysed import analyse
from tests.npu.exported import MSPROF_ANALYZE

# name of the folder -> the faults that may occur in it
PROGRAMS = {
    "inference": set(),
    "training": {check.BACKWARD_BY_TIME},
    "checkpointed": {check.BACKWARD_BY_TIME, check.RECOMPUTED},
    "threads": {check.BY_TIME},
}
PROGRAM = """
import threading
from torch.utils.checkpoint import checkpoint
def infer():
    with torch.no_grad():
        net(x)
def with_stream():
    number = torch_npu.npu.mstx.range_start("step", torch.npu.current_stream(), domain="user")
    infer()
    torch_npu.npu.mstx.range_end(number, domain="user")
def train():
    net(x).sum().backward()
def checkpointed():
    checkpoint(net, x, use_reentrant=False).sum().backward()
def beside():
    P.profile.enable_profiler_in_child_thread()
    infer()
    P.profile.disable_profiler_in_child_thread()
class Waits(torch.nn.Module):
    def forward(self, x):
        thread = threading.Thread(target=beside)
        thread.start(); thread.join()
        return torch.relu(x)
waits = Waits()
def threads():
    with torch.no_grad():
        waits(x)
programs = dict(inference=with_stream, training=train, checkpointed=checkpointed, threads=threads)
for name, program in programs.items():
    with profile(name, level="Level1", analyse=False):
        program(); program()
give(names=[])
"""


@pytest.fixture(scope="module")
def profiles(cann: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The profile of each program in the JSON of `analyse`."""
    try:
        simulated.require(MSPROF_ANALYZE)
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    ran = under_agent.run(cann, tmp_path_factory.mktemp("oracle") / "run", PROGRAM)
    done = analyse(
        cann, ran.folder, "--format", "json", "--check-with", "msprof-analyze", timeout=300
    )
    assert done.done.returncode == 0, done.done.stderr
    return {Path(one["folder"]).parent.name: one for one in done.told["profiles"]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_operator_has_the_figures_of_module_statistic_or_a_known_fault_differs(
    profiles: dict[str, dict[str, Any]], name: str
) -> None:
    compared = profiles[name]["check"]
    faults = Counter(one["fault"] for one in compared["differences"])
    assert set(faults) <= PROGRAMS[name] and (compared["equal"] or name == "threads")


def test_the_faults_that_are_listed_are_there(profiles: dict[str, dict[str, Any]]) -> None:
    """Otherwise the lists above excuse differences that do not exist."""
    found = {
        one["fault"] for profile in profiles.values() for one in profile["check"]["differences"]
    }
    assert found == set().union(*PROGRAMS.values())


def test_every_kernel_has_one_basis(profiles: dict[str, dict[str, Any]]) -> None:
    for one in profiles.values():
        parts = one["bases"].values()
        assert sum(part["kernels"] for part in parts) == one["kernels"] > 0
        assert sum(part["device_ns"] for part in parts) == one["device_ns"]
