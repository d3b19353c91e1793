"""torch_npu.profiler over the simulated CANN: sessions, what is exported, and that the ranges of a
session are in its database.

What this leaves unproved: everything about kernels and device times (test_tasks.py), and the real
msprof, which makes the database on a machine with CANN: ours (cann/msprof.py) is run in its place,
so its own tables show self-consistency only. torch_npu's session, configuration and merging are the
real wheel's."""

from __future__ import annotations

import json

import pytest

from tests.npu.exported import database, outputs, rows, session_log
from tests.npu.simulated import Ran, RunNpu

TRAINING = """
net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 2)).to("npu")
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
opened = []
for module in net.modules():
    module.register_forward_pre_hook(lambda m,
        _: opened.append(bound._range_start_on_host(type(m).__name__, "Module")))
    module.register_forward_hook(lambda *_: bound._range_end(opened.pop(), "Module"))
def step():
    net(torch.ones(4, 8, device="npu")).pow(2).mean().backward()
    optimizer.step(); optimizer.zero_grad()
with profile("both", export=("text", "db"), level="Level1"):
    step()
with profile("scheduled", schedule=P.schedule(wait=1, warmup=1, active=2, repeat=1)) as scheduled:
    for _ in range(5):
        step(); scheduled.step()
for _ in range(3):
    with profile():
        bound._mark_on_host("cycle", "cycles")
"""

CONFIGURATIONS = """
import warnings
def effective(**asked):
    config = P._ExperimentalConfig(**asked)
    found = {name.lstrip("_"): str(value) for name, value in vars(config).items()}
    return {**found, "tx": str(config._msprof_tx or config._mstx)}  # as torch_npu hands it on
give(default=effective(), tx=effective(msprof_tx=True),
    none=effective(profiler_level=P.ProfilerLevel.Level_none),
     bad=effective(export_type="nonsense", mstx_domain_include=["a"], mstx_domain_exclude=["b"]),
     both=effective(mstx=True, mstx_domain_include=["a"], mstx_domain_exclude=["b"],
         export_type=["db", "text"]))
"""
MODULES = ["Sequential", "Linear", "GELU", "Linear"]


@pytest.fixture(scope="module")
def training(npu: RunNpu) -> Ran:
    return npu(CONFIGURATIONS + TRAINING)


def test_both_export_types_leave_their_files(training: Ran) -> None:
    files = {path.name for path in outputs(training, "both").iterdir()}
    assert {
        "trace_view.json",
        "operator_details.csv",
        "ascend_pytorch_profiler.db",
        "analyse.done",
    } <= files
    assert "trace_view.json" not in {path.name for path in outputs(training, "scheduled").iterdir()}


def test_the_trace_has_the_operators_of_the_program_and_no_others(training: Ran) -> None:
    """The kernels of the simulation run on the CPU beneath the operators: nothing of them may be
    seen."""
    names = {
        event["name"]
        for event in json.loads((outputs(training, "both") / "trace_view.json").read_text())
    }
    assert {"aten::linear", "aten::gelu", "aten::mean"} <= names
    assert not names & {"aten::frombuffer", "aten::from_file", "aten::_local_scalar_dense"}


def test_the_database_has_the_ranges_of_the_session(training: Ran) -> None:
    """Self-consistency: the rows are ours; that torch_npu takes them over into its own database is
    real."""
    query = """SELECT m.value, d.value, e.eventType, e.startNs, e.endNs FROM MSTX_EVENTS e
               JOIN STRING_IDS m ON m.id = e.message JOIN STRING_IDS d ON d.id = e.domainId ORDER
                   BY e.startNs"""
    found = rows(database(training, "both"), query)
    modules = [row for row in found if row[1] == "Module"]
    assert [row[0] for row in modules] == MODULES and {row[2] for row in modules} == {2}
    root, *inner = modules
    assert all(root[3] <= start <= end <= root[4] for _, _, _, start, end in inner)


def test_a_schedule_profiles_its_active_steps(training: Ran) -> None:
    starts = [
        call.message
        for call in session_log(training, "scheduled")
        if call.call == "start" and call.domain == "Module"
    ]
    assert starts == 2 * MODULES
    steps = [
        call.message
        for call in session_log(training, "scheduled")
        if call.message.startswith("ProfilerStep")
    ]
    assert steps == [
        "ProfilerStep#2",
        "ProfilerStep#3",
    ]  # torch_npu's own, with the stream, because there is a schedule


def test_sessions_start_and_stop_again_and_again(training: Ran) -> None:
    calls = [
        call.domain for call in training.of("acl") if call.domain in ("aclprofStart", "aclprofStop")
    ]
    assert calls == ["aclprofStart", "aclprofStop"] * 5
    assert [mark.message for mark in training.of("mark", domain="cycles")] == ["cycle"] * 3


def test_what_the_configuration_makes_of_bad_values(training: Ran) -> None:
    given = training.given
    assert given["default"]["tx"] == "False" and given["default"]["export_type"] == "['text']"
    assert given["tx"]["tx"] == "True"  # the deprecated name
    assert given["none"]["tx"] == "True"  # Level_none means mstx
    assert (
        given["bad"]["export_type"] == "['text']" and given["bad"]["mstx_domain_include"] == "[]"
    )  # without mstx no filter
    assert (
        given["both"]["mstx_domain_include"] == "['a']"
        and given["both"]["mstx_domain_exclude"] == "[]"
    )
    assert sorted(json.loads(given["both"]["export_type"].replace("'", '"'))) == ["db", "text"]
