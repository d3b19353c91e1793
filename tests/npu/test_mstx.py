"""torch_npu's mstx over the simulated libraries: each call, its arguments and its thread.

An emitter may rely on these facts about torch_npu 2.13.0 (README.md lists them). The C++ code is
the real wheel's. It does not test what CANN makes of the calls, nor other versions of torch_npu."""

from __future__ import annotations

import pytest

from tests.npu.simulated import Ran, RunNpu

IDLE = """
torch.ones(3, device="npu")
now = torch_npu._C._npu_getCurrentStream(0)
give(
    start=bound._range_start_on_host("a", "Module"), end=bound._range_end(0, "Module"),
    unknown=bound._range_end(7, "nowhere"), mark=bound._mark_on_host("m", "Module"),
    push=bound._range_push_on_host("p", "Module"), pop=bound._range_pop("Module"),
    on_stream=bound._range_start("a", *now, "device:Module"),
    mark_on_stream=bound._mark("m", *now, "device:Module"),
    public=public.range_start("a", domain="Module"), idle_until=time.monotonic_ns(),
    names=sorted(name for name in dir(bound) if not name.startswith("__")),
)
"""

RUNNING = """
torch.ones(3, device="npu")
default, second = torch_npu.npu.current_stream(), torch_npu.npu.Stream()
def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except Exception as error:
        return type(error).__name__
with profile():
    number = bound._range_start_on_host("Linear", "Module")
    give(number=number, kind=type(number).__name__, ended=bound._range_end(number, "Module"))
    bound._range_end(bound._range_start_on_host('é "quoted"\\n\\\\', "odd"), "odd")
    bound._mark_on_host("instant", "marks"); bound._mark_on_host("plain", "default")
    give(pushed=[bound._range_push_on_host("outer", "stack"),
        bound._range_push_on_host("inner", "stack")])
    give(popped=[bound._range_pop("stack") for _ in range(3)])
    number = bound._range_start_on_host("wrong", "one domain")
    bound._range_end(number, "another"); bound._range_end(number, "one domain")
    bound._range_end(999999, "one domain")
    empty = bound._range_start_on_host("", "empty"); bound._range_end(empty, "empty")
    start, end = bound._range_start_on_host, bound._range_end
    give(refused=[
        refused(start, 1, "a"), refused(start, "a"), refused(start, message="a", domain="b"),
        refused(start, "a\\0b", "c"), refused(start, "\\udc80", "a"), refused(end, None, "a"),
        refused(end, 2**31, "a"), refused(start, None, "a")])
    with public.mstx_range.__globals__["annotate"]("annotated", domain="public"):
        pass
    give(public=[public.range_start("", domain="public"),
        public.range_end(public.range_start("kept", domain="public"), domain="public")])

    on_default = bound._range_start("on default", *torch_npu._C._npu_getCurrentStream(0),
        "device:Module")
    with torch_npu.npu.stream(second):
        on_second = bound._range_start("on second", *torch_npu._C._npu_getCurrentStream(0),
            "device:Module")
    bound._range_end(on_second, "device:Module"); bound._range_end(on_default, "device:Module")
    public.mark("public on second", second, "device:Module")
    torch.npu.synchronize()
    give(acl=[acl_id(default), acl_id(second)], before=time.monotonic_ns())

    barrier = threading.Barrier(2)
    def work(name):
        for i in range(50):
            barrier.wait()
            number = bound._range_start_on_host(name, "threads")
            bound._range_end(number, "threads")
        tids.append(threading.get_native_id())
    tids = []
    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second")]
    [thread.start() for thread in threads]; [thread.join() for thread in threads]
    give(tids=tids, main=threading.get_native_id(), after=time.monotonic_ns())
"""

SESSIONS = """
def start(name, domain="Module"):
    return bound._range_start_on_host(name, domain)
with profile():
    across = start("across")
give(between=bound._range_end(across, "Module"))
with profile():
    bound._range_end(across, "Module"); bound._mark_on_host("second session", "Module")
# no call has seen the profiler off: the filter of the session before, which had none
with profile(mstx_domain_include=["Module"]):
    give(stale=bool(start("stale", "Other")))
bound._mark_on_host("seen off", "Module")
with profile(mstx_domain_include=["Module"]):
    give(include=[bool(start("f", domain)) for domain in ("Module", "Other", "default", "module")])
bound._range_end(0, "default")  # sees it as well
with profile(mstx_domain_exclude=["Module"]):
    give(exclude=[bool(start("f", domain)) for domain in ("Module", "Other", "default", "module")])
bound._mark_on_host("seen off", "Module")
with P.profile(activities=[P.ProfilerActivity.CPU],
    experimental_config=P._ExperimentalConfig(mstx=True)):
    give(cpu_only=start("cpu only"))
with P.profile(activities=[P.ProfilerActivity.NPU],
    experimental_config=P._ExperimentalConfig(mstx=False)):
    give(not_asked=start("not asked"))
"""

CHILDREN = """
import multiprocessing
def spawned(name):
    with profile():
        number = bound._range_start_on_host(name, "Module"); bound._range_end(number, "Module")
if __name__ == "__main__":
    with profile():
        across = bound._range_start_on_host("parent", "Module")
        pid = os.fork()
        if not pid:
            bound._range_end(across, "Module")
            number = bound._range_start_on_host("child", "Module")
            bound._range_end(number, "Module")
            os._exit(0)
        give(status=os.waitpid(pid, 0)[1], child=pid, parent=os.getpid())
        bound._range_end(across, "Module")
    process = multiprocessing.get_context("spawn").Process(target=spawned, args=("spawned",))
    process.start(); process.join()
    give(exit=process.exitcode, spawned=process.pid)
"""


@pytest.fixture(scope="module")
def running(npu: RunNpu) -> Ran:
    return npu(RUNNING)


@pytest.fixture(scope="module")
def sessions(npu: RunNpu) -> Ran:
    return npu(IDLE + SESSIONS)


@pytest.fixture(scope="module")
def children(npu: RunNpu) -> Ran:
    return npu(CHILDREN)


def test_nothing_is_called_while_no_profiler_runs(sessions: Ran) -> None:
    given = sessions.given
    assert [
        call
        for call in sessions.of("start", "end", "mark", "domain")
        if call.ns < given["idle_until"]
    ] == []
    assert given["start"] == given["on_stream"] == given["public"] == 0
    assert given["push"] == given["pop"] == -1
    assert given["end"] is given["unknown"] is given["mark"] is given["mark_on_stream"] is None
    assert given["names"] == [
        "_mark", "_mark_on_host", "_range_end", "_range_pop", "_range_push", "_range_push_on_host",
        "_range_start", "_range_start_on_host",
    ]  # fmt: skip


def test_a_range_is_an_int_and_a_start_and_an_end_in_its_domain(running: Ran) -> None:
    given = running.given
    assert given["number"] == 1 and given["kind"] == "int" and given["ended"] is None
    [(start, end)] = running.pairs("Module")
    assert start.message == "Linear" and end.domain == "Module"
    assert (start.tid, start.stream) == (end.tid, 0) == (given["main"], 0) and start.ns <= end.ns


def test_messages_are_utf_8_and_may_be_empty(running: Ran) -> None:
    assert [start.message for start, _ in running.pairs("odd")] == ['é "quoted"\n\\']
    assert [start.message for start, _ in running.pairs("empty")] == [""]


def test_what_the_bound_functions_refuse(running: Ran) -> None:
    refused = running.given["refused"]
    assert refused[:4] == ["TypeError", "TypeError", "TypeError", "ValueError"]
    assert refused[4:] == ["UnicodeEncodeError", "TypeError", "OverflowError", "TypeError"]


def test_marks(running: Ran) -> None:
    assert [mark.message for mark in running.of("mark", domain="marks")] == ["instant"]
    assert [mark.message for mark in running.of("mark", domain="default")] == [
        "plain"
    ]  # the default domain is no domain of its own
    assert "default" not in [call.domain for call in running.of("domain")]


def test_push_and_pop_are_start_and_end(running: Ran) -> None:
    assert running.given["pushed"] == [0, 1] and running.given["popped"] == [1, 0, -1]
    (outer, outer_end), (inner, inner_end) = running.pairs("stack")
    assert [outer.message, inner.message] == [
        "outer",
        "inner",
    ] and outer.ns <= inner.ns <= inner_end.ns <= outer_end.ns


def test_the_wrong_domain_ends_the_range_for_good(running: Ran) -> None:
    """The end is made in the domain that was named, and the right one comes too late: it finds no
    range."""
    [start] = running.of("start", domain="one domain")
    assert [(end.domain, end.id) for end in running.of("end") if end.id == start.id] == [
        ("another", start.id)
    ]
    assert running.of("end", domain="one domain") == []


def test_the_public_functions_do_the_same(running: Ran) -> None:
    assert running.given["public"] == [0, None]  # without a message: a warning, and no range
    assert [start.message for start, _ in running.pairs("public")] == ["annotated", "kept"]


def test_ranges_with_a_stream_are_made_by_torch_npus_own_thread(running: Ran) -> None:
    """Unproved: when the device reaches them. What is shown is which stream they name, and that
    their times are not the caller's."""
    pairs = running.pairs("device:Module")
    assert [(start.message, start.stream) for start, _ in pairs] == list(
        zip(["on default", "on second"], running.given["acl"])
    )
    [mark] = running.of("mark", domain="device:Module")
    assert (mark.message, mark.stream) == ("public on second", running.given["acl"][1])
    assert {call.tid for pair in pairs for call in pair}.isdisjoint({running.given["main"]})


def test_each_thread_is_named(running: Ran) -> None:
    pairs = running.pairs("threads")
    assert len(pairs) == 100 and all(start.tid == end.tid for start, end in pairs)
    assert {start.tid for start, _ in pairs} == set(running.given["tids"]) and running.given[
        "main"
    ] not in running.given["tids"]
    assert len({(start.message, start.tid) for start, _ in pairs}) == 2
    assert all(
        running.given["before"] < start.ns <= end.ns < running.given["after"]
        for start, end in pairs
    )  # Python's clock


def test_a_range_left_open_when_the_profiler_stops_ends_in_the_next_session(sessions: Ran) -> None:
    """An end while no profiler runs is lost; the same end in a later session is made there, without
    a start."""
    assert sessions.given["between"] is None
    [start] = [call for call in sessions.of("start") if call.message == "across"]
    [end] = [call for call in sessions.of("end") if call.id == start.id]
    stops = [call.ns for call in sessions.of("acl", domain="aclprofStop")]
    starts = [call.ns for call in sessions.of("acl", domain="aclprofStart")]
    assert start.ns < stops[0] < starts[1] < end.ns < stops[1]


def test_domains_are_filtered_by_name(sessions: Ran) -> None:
    assert sessions.given["include"] == [True, False, False, False]
    assert sessions.given["exclude"] == [False, True, True, True]


def test_a_filter_is_taken_over_only_after_a_call_that_saw_the_profiler_off(sessions: Ran) -> None:
    assert sessions.given["stale"] is True


def test_the_device_must_be_profiled_and_mstx_asked_for(sessions: Ran) -> None:
    assert sessions.given["cpu_only"] == sessions.given["not_asked"] == 0


def test_a_forked_child_makes_its_own_calls(children: Ran) -> None:
    """Unproved: that the real libraries survive a fork in the middle of a session. (With a stream
    torch_npu blocks: README.)"""
    given = children.given
    assert given["status"] == 0 and given["child"] != given["parent"]
    calls = [call for call in children.of("start", "end") if call.pid == given["child"]]
    assert [(call.call, call.message, call.tid) for call in calls] == [
        ("end", "", given["child"]),
        ("start", "child", given["child"]),
        ("end", "", given["child"]),
    ]  # fmt: skip
    assert [
        start.message
        for start, end in children.pairs("Module")
        if start.pid == end.pid == given["parent"]
    ] == ["parent"]


def test_a_spawned_child_profiles_itself(children: Ran) -> None:
    assert children.given["exit"] == 0
    assert [
        start.message
        for start, _ in children.pairs("Module")
        if start.pid == children.given["spawned"]
    ] == ["spawned"]
