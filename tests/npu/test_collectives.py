"""Two processes over the simulated HCCL: results, what is in each rank's database, and one module
table of both.

What this leaves unproved: links, their times, and how a real HCCL orders, splits or overlaps
collectives."""

from __future__ import annotations

import pytest

from tests.npu import simulated
from tests.npu.exported import module_statistic, rows, tasks
from tests.npu.simulated import Ran, RunNpu

RANKS = """
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
class Parallel(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 64, bias=False)
    def forward(self, x):
        y = self.linear(x)
        dist.all_reduce(y)
        return y * 2
def work(rank, give=None):
    os.environ.update(RANK=str(rank))
    torch.npu.set_device(rank)
    dist.init_process_group("hccl", init_method="file://" + os.path.abspath("meeting"), rank=rank,
        world_size=2)
    net, x = Parallel().npu(), torch.ones(16384, 64, device="npu")
    with torch.no_grad():
        net.linear.weight.fill_(rank + 1)
    # large enough that who does not wait reads too early
    results = [net(x).unique().tolist() for _ in range(3)]
    gathered = torch.empty(4, device="npu")
    dist.all_gather_into_tensor(gathered, torch.full((2,), float(rank), device="npu"))
    sent = torch.full((2,), float(rank), device="npu")
    dist.broadcast(sent, 1)
    if give:
        give(results=results, gathered=gathered.tolist(), broadcast=sent.tolist())
    with profile("prof", level="Level1", analyse=False):
        number = bound._range_start_on_host("Parallel", "Module")
        net(x)
        bound._range_end(number, "Module")
        torch.npu.synchronize()
    dist.destroy_process_group()
if __name__ == "__main__":
    other = multiprocessing.get_context("spawn").Process(target=work, args=(1,))
    other.start()
    work(0, give)
    other.join()
    for folder in glob.glob("prof/*"):  # one by one: see README, Analysis
        P.profiler.analyse(folder, export_type=["db"])
    give(exit=other.exitcode)
"""


@pytest.fixture(scope="module")
def ran(npu: RunNpu) -> Ran:
    return npu(RANKS, devices=2)


def test_operators_come_behind_the_collectives_before_them(ran: Ran) -> None:
    given = ran.given
    assert given["exit"] == 0 and given["results"] == [[2 * 64 * (1 + 2)]] * 3
    assert given["gathered"] == [0, 0, 1, 1] and given["broadcast"] == [1, 1]


def test_each_rank_has_a_database_with_its_collective_linked_to_its_operator(ran: Ran) -> None:
    databases = sorted(
        ran.folder.glob("prof/*/ASCEND_PROFILER_OUTPUT/ascend_pytorch_profiler_*.db")
    )
    assert [path.stem[-1] for path in databases] == ["0", "1"]
    for rank, path in enumerate(databases):
        [(kind, device, count, op)] = rows(
            path,
            """SELECT kind.value, c.deviceId, c.count, op.value FROM COMMUNICATION_OP c
               JOIN STRING_IDS kind ON kind.id = c.opType
               JOIN CONNECTION_IDS link ON link.connectionId = c.connectionId
               JOIN PYTORCH_API api ON api.connectionId = link.id JOIN STRING_IDS op ON op.id =
                   api.name""",
        )
        assert (kind, device, count, op) == ("hcom_allReduce_", rank, 16384 * 64, "HcclAllreduce")
        assert [task.operator for task in tasks(path)] == ["cannsim_matmul", "cannsim_mul"]


def test_the_module_table_has_both_ranks(ran: Ran) -> None:
    try:
        out = module_statistic(ran.folder / "prof", ran.folder / "statistic")
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    found = rows(
        out / "cluster_analysis.db",
        "SELECT rankID, module, kernelList, opCount FROM ModuleStatistic",
    )
    kernels = ["cannsim_matmul", "hcom_allReduce_", "cannsim_mul"]
    assert sorted(found) == sorted(
        (rank, "Parallel", kernel, 1) for rank in (0, 1) for kernel in kernels
    )
