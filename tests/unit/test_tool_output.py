"""ToolOutput with an emitter that lists its calls.

Pairs of start and end, domains of threads, errors of the tool, and ranges open at its stop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from autoinstr.base.module_name import ModuleName
from autoinstr.emitters.combined_output import CombinedOutput
from autoinstr.emitters.emitter import Emitter
from autoinstr.emitters.tool_output import ToolOutput


class Tool:
    """Notes what it is told; tokens count from 1."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failures: list[BaseException] = []
        self.started = 0
        self.broken = False

    def start(self, message: str, domain: str) -> int:
        if self.broken:
            raise RuntimeError("the tool fails")
        self.started += 1
        self.calls.append(("start", domain, message, self.started))
        return self.started

    def end(self, token: int, domain: str) -> None:
        if self.broken:
            raise RuntimeError("the tool fails")
        self.calls.append(("end", domain, token))

    def on_stream(self, message: str, domain: str) -> int:
        return self.start(f"{message} on stream", domain)

    def live(
        self, streams: str = "off", attributes: bool = False, has_domains: bool = True
    ) -> ToolOutput:
        def mark(message: str, domain: str) -> None:
            self.calls.append(("mark", domain, message))

        emitter = Emitter(
            "tool",
            self.start,
            self.end,
            self.start,
            self.end,
            mark,
            self.on_stream,
            mark,
            has_domains,
            True,
            lambda: None,
        )
        return ToolOutput(
            emitter, lambda name: name.cls, "Module", streams, attributes, self.failures.append
        )


def name(cls: str) -> ModuleName:
    return ModuleName(1, "Root#1", "", cls, 0)


def end(begun: Any) -> None:
    begun[1][begun[4]] = 1


def test_one_thread_at_a_time_has_the_domain() -> None:
    tool = Tool()
    live = tool.live()
    outer = live.begin_module("Outer")
    inner = live.begin_module("Inner")

    def elsewhere() -> None:
        one = live.begin_module("Other")
        two = live.begin_module("Nested")
        end(two)
        end(one)

    for _ in range(2):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    end(inner)
    end(outer)
    thread = threading.Thread(target=elsewhere)  # the domain is free now
    thread.start()
    thread.join()
    domains = [(call[1], call[2]) for call in tool.calls if call[0] == "start"]
    assert domains[:2] == [("Module", "Outer"), ("Module", "Inner")]
    assert (
        domains[2:6] == [("thread-1:Module", "Other"), ("thread-1:Module", "Nested")] * 2
    )  # a number is used again
    assert domains[6:] == [("Module", "Other"), ("Module", "Nested")]
    assert live.owner_thread == 0 and not tool.failures


def test_a_range_ends_once_and_in_its_domain() -> None:
    tool = Tool()
    begun = tool.live().begin("vllm", "step", None, False, False)
    begun[1][0], begun[1][1] = 1, 5  # what a recording would store
    end(begun)
    end(begun)
    assert tool.calls == [("start", "vllm", "step", 1), ("end", "vllm", 1)]


def test_a_range_that_is_taken_back_ends() -> None:
    tool = Tool()
    begun = tool.live().begin("torch", "optim.step", None, False, False)
    begun[1][0] = 0
    assert tool.calls[-1] == ("end", "torch", 1)


def test_a_cut_ends_what_is_open_innermost_first_and_nothing_ends_it_again() -> None:
    tool = Tool()
    live = tool.live()
    ranges = [
        live.begin_module("Outer"),
        live.begin("vllm", "work", None, False, False),
        live.begin_module("Inner"),
    ]
    live.end_open_ranges()
    assert [call[2] for call in tool.calls if call[0] == "end"] == [3, 2, 1]
    for begun in reversed(ranges):
        end(begun)
    assert sum(call[0] == "end" for call in tool.calls) == 3
    assert live.owner_thread == 0  # the outermost call has ended: the domain is free
    end(live.begin_module("Next"))
    assert tool.calls[-2:] == [("start", "Module", "Next", 4), ("end", "Module", 4)]


def test_a_start_that_fails_leaves_the_domain_free() -> None:
    tool = Tool()
    live = tool.live()
    tool.broken = True
    with pytest.raises(RuntimeError):
        live.begin_module("Outer")  # contained by Plans
    tool.broken = False
    assert live.owner_thread == 0
    end(live.begin_module("Outer"))
    assert tool.calls[0][1] == "Module" and live.owner_thread == 0


def test_an_end_that_fails_is_told_and_raises_nothing() -> None:
    tool = Tool()
    live = tool.live()
    begun = live.begin_module("Outer")
    tool.broken = True
    end(begun)
    assert [str(error) for error in tool.failures] == ["the tool fails"] and live.owner_thread == 0


def test_streams_give_modules_a_second_range_in_a_domain_of_its_own() -> None:
    tool = Tool()
    begun = tool.live(streams="on").begin_module("Linear")
    end(begun)
    assert tool.calls == [
        ("start", "Module", "Linear", 1),
        ("start", "device:Module", "Linear on stream", 2),
        ("end", "device:Module", 2),
        ("end", "Module", 1),
    ]


def test_a_fork_in_a_call_leaves_the_parents_ranges_to_it() -> None:
    tool = Tool()
    live = tool.live()
    begun = live.begin_module("Outer")
    live.reset_in_child()
    end(begun)  # the child comes to the end of the call as well
    assert [call[0] for call in tool.calls] == ["start"] and live.owner_thread == 0
    end(live.begin_module("Child"))
    assert tool.calls[-1] == ("end", "Module", 2)


def test_messages_are_what_every_tool_takes() -> None:
    tool = Tool()
    live = tool.live(attributes=True)
    assert live.name_module(name("Läyer")) == "Läyer"
    assert live.name_module(name("a\0b")) == "a\\0b"
    assert live.name_module(name("\udc80")) == "\\udc80"
    live.mark("vllm", "request.queued", {"request": "a\0 b", "tokens": 3, "requests": ["x", "y"]})
    assert tool.calls[-1] == ("mark", "vllm", "request.queued request=a\\0_b tokens=3 requests=x,y")
    tool.live(attributes=False).mark("vllm", "request.queued", {"tokens": 3})
    assert tool.calls[-1] == ("mark", "vllm", "request.queued")


def test_a_tool_without_domains_gets_the_users_in_the_message() -> None:
    tool = Tool()
    live = tool.live(has_domains=False)
    live.mark("user", "loaded")
    live.mark("vllm", "request.queued")
    assert [call[2] for call in tool.calls] == ["user: loaded", "request.queued"]


def test_what_is_known_late_is_a_mark_where_attributes_are_wanted() -> None:
    tool = Tool()
    tool.live().write_late_fields("vllm", "sched.schedule", {"tokens": 2})
    assert not tool.calls
    tool.live(attributes=True).write_late_fields("vllm", "sched.schedule", {"tokens": 2})
    assert tool.calls == [("mark", "vllm", "sched.schedule tokens=2")]


def test_what_an_interrupt_leaves_behind_ends_with_its_last_reference() -> None:
    tool = Tool()
    live = tool.live()
    begun = live.begin_module("Outer")
    assert live.owner_thread
    del begun  # a KeyboardInterrupt between a begin and the wrapper's own `try`
    assert tool.calls[-1] == ("end", "Module", 1) and live.owner_thread == 0


def test_a_second_cut_leaves_what_the_first_has_ended() -> None:
    tool = Tool()
    live = tool.live()
    begun = live.begin_module("Outer")
    live.end_open_ranges()
    live.end_open_ranges()
    end(begun)
    assert [call[0] for call in tool.calls] == ["start", "end"]


def test_cuts_beside_threads_that_begin_and_end() -> None:
    tool = Tool()
    live = tool.live()
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            end(live.begin("user", "mine", None, False, False))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        live.end_open_ranges()
    done.set()
    for thread in threads:
        thread.join()
    ended = [call[2] for call in tool.calls if call[0] == "end"]
    assert len(set(ended)) == len(ended) and not tool.failures


def test_what_is_marked_elsewhere_is_left_to_it() -> None:
    tool, recorder = Tool(), Tool()
    assert tool.live().begin("torch", "data.fetch", None, False, False, "tool") is None
    assert not tool.calls
    assert tool.live().begin("torch", "data.fetch", None, False, False, "another") is not None
    del recorder


def test_modules_that_the_program_writes_itself_have_no_name_here() -> None:
    tool = Tool()
    live = tool.live()
    live.skips_modules = True
    assert live.name_module(name("Linear")) == 0
    several = CombinedOutput([live, Tool().live()], tool.failures.append)
    assert several.name_module(name("Linear")) == (0, "Linear")
    begun = several.begin_module((0, "Linear"))
    assert begun is not None and not tool.calls
    end(begun)


def test_several_outputs_have_the_same_range() -> None:
    one, two = Tool(), Tool()
    several = CombinedOutput([one.live(), two.live()], one.failures.append)
    begun = several.begin_module(several.name_module(name("Linear")))
    assert begun is not None
    begun[1][begun[2]] = begun[0]
    begun[1][begun[3]] = 5
    end(begun)
    several.mark("user", "m")
    assert (
        one.calls
        == two.calls
        == [("start", "Module", "Linear", 1), ("end", "Module", 1), ("mark", "user", "m")]
    )


def test_one_of_several_that_fails_costs_itself_only() -> None:
    one, two = Tool(), Tool()
    several = CombinedOutput([one.live(), two.live()], one.failures.append)
    two.broken = True
    end(several.begin("vllm", "work", None, False, False))
    assert (
        one.calls == [("start", "vllm", "work", 1), ("end", "vllm", 1)] and len(one.failures) == 1
    )
    one.broken = True
    assert several.begin("vllm", "work", None, False, False) is None
