"""The mstx emitter on the real torch_npu 2.13.0: each call that reaches the simulated CANN.

It does not test what a real CANN makes of the calls, nor when a real device stream reaches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.npu import under_agent
from tests.npu.simulated import Ran
from tests.npu.under_agent import said, tree

BLOCK = [" Block", "  Linear", "  ReLU", "  Linear"]
NET = ["Net", *BLOCK, *BLOCK, " Linear"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("emitter")


# -- while a profiler runs, and only then ----------------------------------------------------------

SESSIONS = """
native = nn.Module.__call__ is nn.Module._wrapped_call_impl
before = net(x)
with profile():
    inside = net(x)
between = nn.Module.__call__ is nn.Module._wrapped_call_impl
after = net(x)
give(native=native, between=between,
    same=bool((before == inside).all() and (before == after).all()))

with profile(mstx_domain_include=["vllm"]):
    net(x)
with profile(mstx_domain_exclude=["vllm"]):
    net(x)

prof = profile()
def stop(*_):
    prof.stop()
hook = net.layers[1].act.register_forward_hook(stop)
prof.start()
net(x)
hook.remove()
with profile():  # what was open when the last one stopped is nothing to this one
    net.head(x)

prof = profile()
def start(*_):
    prof.start()
hook = net.layers[1].act.register_forward_hook(start)
net(x)
hook.remove()
prof.stop()

class Inner(nn.Module):
    def forward(self, x):
        first.stop()
        with profile():  # the calls that run began in the first session, and end after this one
            net.head(x)
        return x
class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
    def forward(self, x):
        return self.inner(x)
first, outer = profile(), Outer()
first.start()
outer(x)

class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
    def forward(self, x):
        return self.inner(x)
with profile():
    try:
        Fails().npu()(x)
    except RuntimeError as error:
        give(raised=str(error))

for _ in range(3):
    with profile():
        net.head(x)

import autoinstr
with profile():
    with autoinstr.range("mine"), autoinstr.range("ours", domain="own"):
        autoinstr.mark("here", note=1)
        net.head(x)
"""


@pytest.fixture(scope="module")
def sessions(cann: Path, folder: Path) -> Ran:
    return under_agent.run(cann, folder / "sessions", SESSIONS)


def test_a_session_has_every_module_call_by_class_and_nested(sessions: Ran) -> None:
    stopped = ["Net", *BLOCK, *BLOCK[:3]]  # the profiler stops while act and its parents run, and
    started = ["Linear", "Linear"]  # starts at the same place: what is called from there on
    within = ["Outer", " Inner", "Linear"]
    # The second session has left the domain out.
    assert tree(sessions, "Module") == [
        *NET,
        *NET,
        *stopped,
        "Linear",
        *started,
        *within,
        "Fails",
        " Linear",
        *["Linear"] * 4,
    ]


def test_torchs_own_function_is_there_before_and_between(sessions: Ran) -> None:
    assert sessions.given["native"] and sessions.given["between"] and sessions.given["same"]
    assert "shapes cannot be multiplied" in sessions.given["raised"]


def test_ranges_have_no_stream_and_the_main_threads_id(sessions: Ran) -> None:
    calls = sessions.of("start", "end", domain="Module")
    assert {call.stream for call in calls} == {0} and {call.tid for call in calls} == {
        call.pid for call in calls
    }


def test_own_ranges_and_marks_go_to_their_domains(sessions: Ran) -> None:
    assert tree(sessions, "user") == ["mine"] and tree(sessions, "own") == ["ours"]
    assert [call.message for call in sessions.of("mark", domain="user")] == ["here"]


def test_nothing_is_said_but_of_the_filter_and_nothing_recorded(sessions: Ran) -> None:
    assert (
        len(said(sessions)) == 1 and "a domain filter leaves module ranges out" in said(sessions)[0]
    ), said(sessions)
    assert not (sessions.folder / "autoinstr-runs").exists()


# -- options ---------------------------------------------------------------------------------------

OPTIONS = """
second = torch_npu.npu.Stream()
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.here, self.there = nn.Linear(8, 8), nn.Linear(8, 8)
    def forward(self, x):
        y = self.here(x)
        with torch_npu.npu.stream(second):
            return y, self.there(x)
two = Two().npu()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
with profile():
    two(x)
    net(x).sum().backward()
    optimizer.step()
    torch.npu.synchronize()
give(default=acl_id(torch_npu.npu.current_stream()), second=acl_id(second))
"""


@pytest.fixture(scope="module")
def options(cann: Path, folder: Path) -> Ran:
    asked = {
        "streams": "on",
        "name": "path",
        "include": "here,there,layers.0*,Net",
        "exclude": "class:ReLU",
    }
    return under_agent.run(cann, folder / "options", OPTIONS, **asked)


def test_filters_and_names_are_as_asked(options: Ran) -> None:
    assert tree(options, "Module") == [
        "here",
        "there",
        "Net",
        " layers.0",
        "  layers.0.up",
        "  layers.0.down",
    ]


def test_device_ranges_have_the_stream_that_the_module_ran_on(options: Ran) -> None:
    streams = {
        start.message: (start.stream, end.stream) for start, end in options.pairs("device:Module")
    }
    default, second = options.given["default"], options.given["second"]
    assert (
        streams["here"][0] == streams["Net"][0] == default
        and streams["there"][0] == second != default
    )
    assert len(options.pairs("device:Module")) == len(options.pairs("Module")) == 6


def test_parts_of_a_training_step_are_on_the_stream_too(options: Ran) -> None:
    streams = {start.message: start.stream for start, _ in options.pairs("torch")}
    assert {"backward", "optim.step", "optim.zero_grad"} - set(streams) == {"optim.zero_grad"}
    assert streams["backward"] == streams["optim.step"] == options.given["default"]
    assert [(call.message, call.stream) for call in options.of("mark", domain="torch")] == [
        ("step", options.given["default"])
    ]


def test_streams_are_off_where_that_is_asked(cann: Path, folder: Path) -> None:
    ran = under_agent.run(
        cann, folder / "off", OPTIONS, streams="off", attributes="on", emitter="mstx,recorder"
    )
    assert {call.stream for call in ran.of("start", "end", "mark")} == {0}
    assert not ran.of("start", domain="device:Module")
    assert [call.message for call in ran.of("mark", domain="torch")] == ["step step=1"]
    recordings = list((ran.folder / "autoinstr-runs").glob("*/*"))
    assert len(recordings) == 1  # the recorder is always on, mstx while the profiler runs
    assert len(tree(ran, "Module")) == 3 + len(NET)


# -- others who patch ------------------------------------------------------------------------------

# What the guide of vllm-ascend tells its readers to write.
GUIDE = """
original_call = nn.Module.__call__
def custom_call(self, *args, **kwargs):
    module_name = self.__class__.__name__
    mstx_id = torch_npu.npu.mstx.range_start(module_name, domain="Module")
    tmp = original_call(self, *args, **kwargs)
    torch_npu.npu.mstx.range_end(mstx_id, domain="Module")
    return tmp
nn.Module.__call__ = custom_call
"""


def test_the_guides_function_put_in_while_ranges_are_on_is_left_alone_too(
    cann: Path, folder: Path
) -> None:
    source = (
        "with profile():\n    net.head(x)\n"
        + GUIDE.replace("\n", "\n    ").strip()
        + "\n    net(x)\n"
    )
    ran = under_agent.run(
        cann, folder / "guide-late", source.replace("original_call =", "    original_call =", 1)
    )
    assert tree(ran, "Module") == ["Linear", *NET]
    assert len(said(ran)) == 1 and "writes module ranges itself" in said(ran)[0]


def test_a_list_of_emitters_leaves_torch_npus_own_marks_to_it(cann: Path, folder: Path) -> None:
    source = (
        "loader = torch.utils.data.DataLoader(torch.ones(4, 8), batch_size=2)\n"
        "with profile():\n    [net.head(x) for _ in loader]\n"
    )
    ran = under_agent.run(cann, folder / "loader", source, emitter="recorder,mstx")
    assert [call.message for call in ran.of("start", domain="default")] == ["dataloader"] * 3
    assert not [call for call in ran.of("start", domain="torch") if call.message == "data.fetch"]


@pytest.mark.parametrize("when", ["profiling", "always"])
def test_a_script_with_the_guides_function_has_each_range_once(
    cann: Path, folder: Path, when: str
) -> None:
    source = GUIDE + "with profile():\n    net(x)\ngive(theirs=nn.Module.__call__ is custom_call)\n"
    ran = under_agent.run(cann, folder / f"guide-{when}", source, when=when)
    assert tree(ran, "Module") == NET and ran.given["theirs"]
    assert (
        len(said(ran)) == 1
        and "writes module ranges itself" in said(ran)[0]
        and "custom_call" in said(ran)[0]
    )


# -- threads and processes -------------------------------------------------------------------------

PROCESSES = """
def child_of(work):
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return pid
host, cold = Net(), torch.ones(2, 8)
children = []
class Forks(nn.Module):
    def forward(self, x):
        children.append(child_of(lambda: host(cold)) if x is not None else os.fork())
        return x
class Above(nn.Module):
    def __init__(self):
        super().__init__()
        self.forks = Forks()
    def forward(self, x):
        return self.forks(x)
above = Above()
barrier = threading.Barrier(2)
def work():
    barrier.wait()
    for _ in range(20):
        net.head(x)
with profile():
    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    above(cold)
    above(None)
    if not children[-1]:  # a child that comes to the end of the calls which its parent began
        os._exit(0)
    os.waitpid(children[-1], 0)
give(children=children)
"""


def test_threads_never_share_the_domain_and_a_forked_child_writes_nothing(
    cann: Path, folder: Path
) -> None:
    ran = under_agent.run(cann, folder / "processes", PROCESSES, when="profiling", emitter="mstx")
    domains = {call.domain for call in ran.of("start")}
    assert "Module" in domains and domains <= {"Module", "thread-1:Module", "thread-2:Module"}
    for domain in domains:
        tree(ran, domain)  # nested, whatever the threads do
    assert sum(call.message == "Linear" for call in ran.of("start")) == 40
    assert [call.message for call in ran.of("start") if call.message != "Linear"] == [
        "Above",
        "Forks",
    ] * 2
    assert len(ran.given["children"]) == 2 and not [
        call for call in ran.calls if call.pid in ran.given["children"]
    ]
