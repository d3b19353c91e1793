"""ACL graphs end to end: replayed kernels by module, from a profile that saw the capture.

Real here: torch_npu's NPUGraph, torchair's code, the profile and its analysis. What this leaves
unproved: that a real replayed task has the connection of its captured launch (graphs.c)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoinstr.cli import main
from tests.npu import under_agent
from tests.npu.exported import session
from tests.npu.simulated import Ran

REPLAYS = 3
PROGRAM = f"""
import torchair, warnings
warnings.simplefilter("ignore")
def capture(run):
    graph, still = torch_npu.npu.NPUGraph(), torch.ones(2, 8).npu()
    with torch_npu.npu.graph(graph):
        out = run(still)
    return graph, out
def replay(graph):
    for _ in range({REPLAYS}):
        graph.replay()
def compiled():
    config = torchair.CompilerConfig()
    config.mode, config.debug.run_eagerly = "reduce-overhead", True
    config.debug.aclgraph.disable_reinplace_inplaceable_ops_pass = True
    return torch.compile(net, backend=torchair.get_npu_backend(compiler_config=config))
with torch.no_grad():
    expected = net(x)
    inner = compiled()
    same = [torch.equal(inner(x), expected)]
    with profile("eager", level="Level1", analyse=False):
        for _ in range({REPLAYS}):
            net(x)
    for name, run in (("modules", net), ("pieces", inner)):
        with profile(name, level="Level1", analyse=False):
            graph, out = capture(run)
            replay(graph)
        same.append(torch.equal(out, expected))
    with profile("later", level="Level1", analyse=False):
        replay(graph)
for name in ("eager", "modules", "pieces", "later"):
    P.profiler.analyse(name, export_type=["db"])
counts = session_counts()
give(same=same, counts=counts)
"""
COUNTS = """
def session_counts():
    from autoinstr.agent import bootstrap
    return bootstrap.get_session().compiled_ranges.counts
"""


@pytest.fixture(scope="module")
def ran(cann: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("graphs") / "run"
    return under_agent.run(cann, folder, COUNTS + PROGRAM)


def read_report(ran: Ran, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["report", str(session(ran, name)), "--format", "json", "-o", "-"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def count_kernels(report: dict[str, Any], basis: str) -> dict[tuple[str, ...], int]:
    """Return the kernels of each module itself, by the classes around it."""
    return {
        tuple(row["classes"]): row["device"]["by_basis"][basis][0]
        for row in report["rows"]
        if row["device"] and basis in row["device"]["by_basis"]
    }


def test_numbers_stay_the_same(ran: Ran) -> None:
    assert ran.given["same"] == [True] * 3
    assert ran.given["counts"]["functions"] == 1, "torchair's code has no ranges"
    assert under_agent.said(ran) == []


@pytest.mark.parametrize("name", ["modules", "pieces"])
def test_self_consistency_not_proof_the_table_of_replays_is_the_eager_one(
    ran: Ran, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Each module has as many kernels as in as many eager calls. `pieces` is compiled code: the
    modules inside were never called, and have the ranges of their statements."""
    eager = read_report(ran, "eager", capsys)
    replayed = read_report(ran, name, capsys)
    expected = count_kernels(eager, "eager")
    assert set(expected) >= {("Net", "Block", "Linear"), ("Net", "Block", "ReLU")}
    found = count_kernels(replayed, "graph")
    if name == "pieces":  # Net is called as torch.compile's OptimizedModule
        found = {("Net", *classes[1:]): count for classes, count in found.items()}
    assert found == expected
    assert replayed["device"]["bases"]["graph"]["kernels"] == eager["device"]["kernels"]
    assert replayed["device"]["bases"]["unknown"]["kernels"] == 0


def test_replays_of_a_graph_that_another_profile_saw_have_no_module(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their launches were before the profile: nothing is guessed."""
    kernels = read_report(ran, "eager", capsys)["device"]["kernels"]
    later = read_report(ran, "later", capsys)["device"]
    assert later["bases"]["before"]["kernels"] == later["kernels"] == kernels
