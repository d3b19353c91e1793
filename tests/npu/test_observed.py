"""When the agent counts a profiler of the real torch_npu as running.

The session's state and the ranges that reach the simulated CANN show it. torch_npu's Python tracer
must see modules as without the agent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.npu.simulated import Ran, RunNpu

NET = """
net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU()).to("npu")
x = torch.ones(2, 8, device="npu")
net(x)
A = P.ProfilerActivity
"""
WATCH = (
    NET
    + """
from autoinstr.agent import bootstrap
session = bootstrap.get_session()
def running():
    return sorted(key.kind for key in session.profilers._running)
# how many ranges of ours CANN has got: torch_npu's own ProfilerStep#N comes from its task thread,
# whenever that is
def taken():
    path = os.environ["CANNSIM_LOG"]
    lines = list(open(path)) if os.path.exists(path) else []
    calls = [json.loads(line) for line in lines if line.endswith("\\n")]
    return sum(call["call"] == "start" and call["domain"] != "default" for call in calls)
"""
)
SESSIONS = (
    WATCH
    + """
found = {}
def look(name, *what):
    before = taken()
    net(x)
    found.setdefault(name, []).append([running(), taken() - before, *what])
def mstx(**more):
    config = P._ExperimentalConfig(profiler_level=P.ProfilerLevel.Level_none)
    return P.profile(experimental_config=config, **more)

look("before")
with mstx(): look("with")
look("with")
for activities in ([A.CPU], [A.NPU]):
    with mstx(activities=activities): look("activities")
kineto = P._KinetoProfile()
kineto.start(); look("kineto"); kineto.stop(); look("kineto")

scheduled = mstx(schedule=P.schedule(wait=1, warmup=1, active=2, repeat=2))
scheduled.start()
for _ in range(9):
    look("schedule"); scheduled.step()
scheduled.stop(); look("schedule")

first, second = mstx(), mstx()
first.stop(); look("odd orders")
first.start(); first.start(); look("odd orders")
second.start(); look("odd orders")
first.stop(); look("odd orders")
second.stop(); first.stop(); look("odd orders")

import torch_npu.profiler.profiler_interface as I
start, stop = I._start_profiler, I._stop_profiler
def refuse(*_):
    raise RuntimeError("refused")
I._start_profiler = refuse
failing = mstx(); failing.start(); look("failing")
I._start_profiler = start
failing.stop(); look("failing")
with mstx(): look("failing")

I._stop_profiler = refuse
# kept: torch_npu stops again what is collected as garbage, and with it whatever runs at that moment
unstopped = mstx()
with unstopped: pass
I._stop_profiler = stop
look("failing stop")
stop()
with mstx(): look("failing stop")
look("failing stop")
try:
    with mstx(): raise KeyError
except KeyError:
    look("raising")
give(**found)
"""
)
# Messages of a call of the net; the others are torch_npu's own (ProfilerStep).
RANGES = 3


@pytest.fixture(scope="module")
def sessions(npu: RunNpu) -> Ran:
    return npu(SESSIONS, agent=True)


def states(found: list[Any]) -> list[tuple[list[str], bool]]:
    """(what runs, whether a call of the net gave its ranges)."""
    assert {count for _, count in found} <= {0, RANGES}, found
    return [(kinds, count == RANGES) for kinds, count in found]


IDLE: tuple[list[str], bool] = ([], False)
COLLECTS = (["torch_npu"], True)


def test_a_profile_runs_within_its_block(sessions: Ran) -> None:
    assert states(sessions.given["before"]) == [IDLE]
    assert states(sessions.given["with"]) == [COLLECTS, IDLE]
    assert states(sessions.given["raising"]) == [IDLE]
    assert states(sessions.given["kineto"]) == [COLLECTS, IDLE]


def test_without_the_npu_activity_it_takes_no_ranges(sessions: Ran) -> None:
    assert states(sessions.given["activities"]) == [(["torch_npu_without_mstx"], False), COLLECTS]


def test_with_a_schedule_only_active_steps_count(sessions: Ran) -> None:
    """Not start(), not warm-up."""
    wait_and_warm_up, active = [IDLE, IDLE], [COLLECTS, COLLECTS]
    assert states(sessions.given["schedule"]) == 2 * (wait_and_warm_up + active) + [IDLE, IDLE]


def test_starts_and_stops_in_any_order(sessions: Ran) -> None:
    """A stop without a start, a second start, a second profiler: the first stop ends all, as in
    torch_npu."""
    nothing, once, twice, stopped, again = sessions.given["odd orders"]
    assert [kinds for kinds, _ in (nothing, once, twice, stopped, again)] == [
        [],
        ["torch_npu"],
        2 * ["torch_npu"],
        [],
        [],
    ]
    assert [bool(count) for _, count in (nothing, once, twice, stopped, again)] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_start_that_fails_is_no_start(sessions: Ran) -> None:
    assert states(sessions.given["failing"]) == [IDLE, IDLE, COLLECTS]
    assert "refused" in sessions.stdout  # torch_npu's own word; it lets the program go on
    [line] = [line for line in sessions.stderr.splitlines() if "profiler did not start" in line]
    assert line.startswith("autoinstr:") and "RuntimeError: refused" in line


def test_a_machine_without_its_driver(npu: RunNpu, cann: Path, tmp_path: Path) -> None:
    """libascend_hal.so is missing: torch_npu cannot start a profile, says so once, and so do we;
    the program goes on."""
    home = tmp_path / "home"
    shutil.copytree(cann, home, symlinks=True)
    (home / "lib64" / "libascend_hal.so").unlink()
    env = {"ASCEND_HOME_PATH": str(home), "LD_LIBRARY_PATH": str(home / "lib64")}
    program = (
        WATCH
        + """
total = net(x).sum().item()
found = []
for _ in range(2):
    with P.profile():
        found.append(running())
        assert net(x).sum().item() == total
give(found=found)
"""
    )
    ran = npu(program, agent=True, env=env)
    assert ran.given["found"] == [[], []] and not ran.of("start")
    assert (
        len(
            [
                line
                for line in ran.stderr.splitlines()
                if line.startswith("autoinstr:") and "did not start" in line
            ]
        )
        == 1
    )


def test_a_stop_that_fails_ends_it_all_the_same(sessions: Ran) -> None:
    assert states(sessions.given["failing stop"]) == [IDLE, COLLECTS, IDLE]


# -- the dynamic profiler --------------------------------------------------------------------------

DYNAMIC = (
    WATCH
    + """
from torch_npu.profiler import dynamic_profile as dp
from torch_npu.profiler._dynamic_profiler._dynamic_profiler_monitor_shm import (
    DynamicProfilerShareMemory)
os.mkdir("dynamic")
dp.init("dynamic")
config = {"activities": ["CPU", "NPU"], "prof_dir": os.path.abspath("out"), "analyse": False,
    "active": 2, "warmup": 1, "start_step": 0,
          "is_rank": False, "rank_list": [], "experimental_config": {"profiler_level": "Level0",
              "mstx": False, "export_type": ["text"]}}
with open("dynamic/config.json", "w") as file:
    json.dump(config, file)
os.chmod("dynamic/config.json", 0o600)
found = [running()]
dp.start(os.path.abspath("dynamic/config.json"))
for _ in range(4):
    found.append(running()); net(x); dp.step()
found.append(running())
[information] = glob.glob("out/*_ascend_pt/profiler_info*.json")
give(found=found, config=json.load(open(information))["config"]["experimental_config"])
"""
)


def test_the_dynamic_profiler_goes_the_same_way(npu: RunNpu) -> None:
    """As PROF_CONFIG_PATH and MSMONITOR_USE_DAEMON start it; its own configuration gets what
    module_statistic needs."""
    ran = npu(DYNAMIC, agent=True)
    assert ran.given["found"] == [[], [], ["torch_npu"], ["torch_npu"], [], []]
    assert ran.given["config"]["_mstx"] is True and sorted(ran.given["config"]["_export_type"]) == [
        "db",
        "text",
    ]
    assert [start.message for start, _ in ran.pairs("Module")] == 2 * [
        "Sequential",
        "Linear",
        "GELU",
    ]
    assert "autoinstr:" not in ran.stderr  # its None for a list is no value that torch_npu resets


# -- what was started before the program -----------------------------------------------------------

OUTSIDE = (
    WATCH
    + """
found = [running()]
net(x)
with P.profile(): found.append(running())
give(found=found)
"""
)


@pytest.mark.parametrize(
    ("env", "kinds", "within", "ranges"),
    [
        (
            {"PROFILER_SAMPLECONFIG": '{"msproftx": "on"}'},
            ["msprof"],
            ["msprof"],
            True,
        ),  # torch_npu's own profiler does nothing then
        (
            {"PROFILER_SAMPLECONFIG": '{"msproftx": "off"}'},
            ["msprof_without_mstx"],
            ["msprof_without_mstx"],
            False,
        ),
        ({"LD_PRELOAD": "libmspti.so"}, ["mspti"], ["mspti", "torch_npu"], True),
        (
            {"LD_PRELOAD": "libmspti.so", "AUTOINSTR_MSPTI": "off"},
            ["mspti"],
            ["mspti", "torch_npu"],
            False,
        ),
    ],
)
def test_msprof_and_mspti_run_from_the_start(
    npu: RunNpu, env: dict[str, str], kinds: list[str], within: list[str], ranges: bool
) -> None:
    """libmspti.so is not there: the name in LD_PRELOAD is what torch_npu looks for (ld.so says on
    stderr that it has nothing to load)."""
    ran = npu(OUTSIDE, agent=True, env=env)
    assert ran.given["found"] == [kinds, within]
    starts = [call.message for call in ran.of("start", domain="Module")]
    assert starts == (2 * ["Sequential", "Linear", "GELU"] if ranges else [])


# -- the Python tracer -----------------------------------------------------------------------------

TRACED = (
    NET
    + """
def modules(name, **tracer):
    config = P._ExperimentalConfig(mstx=True, export_type=["text"],
        profiler_level=P.ProfilerLevel.Level1)
    with P.profile(experimental_config=config, on_trace_ready=P.tensorboard_trace_handler(name),
        **tracer):
        net(x)
    [trace] = glob.glob(name + "/*_ascend_pt/ASCEND_PROFILER_OUTPUT/trace_view.json")
    names = [event["name"] for event in json.load(open(trace))]
    return sorted(name for name in names if name.startswith("nn.Module"))
if os.environ.get("TORCHS_FIRST"):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], with_stack=True):
        net(x)
give(with_modules=modules("one", with_modules=True), none=modules("two"),
    with_stack=modules("three", with_stack=True))
"""
)
MODULES = ["nn.Module: GELU_0", "nn.Module: Linear_0", "nn.Module: Sequential_0"]


@pytest.mark.parametrize(
    ("agent", "env"),
    [
        (False, {}),
        (True, {}),
        (True, {"AUTOINSTR_WHEN": "always", "AUTOINSTR_EMITTER": "mstx,recorder"}),
        (
            True,
            {"AUTOINSTR_EMITTER": "recorder", "TORCHS_FIRST": "1"},
        ),  # each tracer notes Module.__call__ at its own first start
    ],
)
def test_the_python_tracer_sees_modules_as_without_the_agent(
    npu: RunNpu, agent: bool, env: dict[str, str]
) -> None:
    assert npu(TRACED, agent=agent, env=env).given == {
        "with_modules": MODULES,
        "none": [],
        "with_stack": MODULES,
    }
