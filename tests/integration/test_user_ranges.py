"""Test autoinstr.range and autoinstr.mark in real processes: they record in a session, do nothing
without one, and do not break a graph."""

from __future__ import annotations

import pytest

from tests.conftest import GATE, REPO, Python
from tests.support.recorded import recordings, the_recording
from tests.support.timeline import assert_nested, called, counts, inside, timeline

PROGRAM = """
import asyncio, threading
import autoinstr

early = autoinstr.range("early")

@autoinstr.range("work")
def work(x):
    return net(x)

import torch
net = torch.nn.Linear(2, 2)

async def task(number):
    with autoinstr.range("task") as running:
        running.note(number=number)
        await asyncio.sleep(0.01 * (3 - number))
        autoinstr.mark("slept", number=number)

async def main():
    await asyncio.gather(*(task(number) for number in range(3)))

work(torch.ones(1, 2))
with early, autoinstr.range("load", domain="mine") as running:
    torch.load
    running.note(files=3)
asyncio.run(main())
thread = threading.Thread(target=work, args=(torch.ones(1, 2),), name="second")
thread.start(); thread.join()
try:
    with autoinstr.range("fails"):
        raise KeyError("x")
except KeyError:
    print("raised")
print(type(running).__name__)
"""

WINDOW = """
import autoinstr, torch
net = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for number in range(6):
    with autoinstr.range("step") as running:
        running.note(number=number)
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    autoinstr.mark("done", number=number)
"""

COMPILED = """
import autoinstr, torch
from torch._dynamo.utils import counters
import warnings
warnings.simplefilter("error")

@autoinstr.range("helper")
def helper(x):
    return x * 2

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
    def forward(self, x):
        with autoinstr.range("inside"):
            x = helper(self.linear(x))
        with autoinstr.range("more", domain="mine") as running:
            running.note(files=3)
            autoinstr.mark("mark", files=3)
        return x + 1

torch.manual_seed(0)
net = Net()
compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
with autoinstr.range("outside"):
    results = [compiled(torch.ones(1, 2)).tolist(), compiled(torch.ones(1, 2)).tolist(),
        net(torch.ones(1, 2)).tolist()]
print(results, counters["stats"]["unique_graphs"], dict(counters["graph_break"]))
"""


def run(python: Python, program: str, on: bool, **env: str) -> str:
    (python.cwd / "program.py").write_text(program)
    path = (GATE, REPO) if on else (REPO,)
    done = python.run(
        "program.py",
        path=path,
        on="1" if on else None,
        env={"AUTOINSTR_OUT": "out", **env} if on else {},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_recorded_with_their_attributes_and_in_their_domain(python: Python) -> None:
    assert run(python, PROGRAM, on=True) == "raised\nActiveRange\n"
    recording = the_recording(python.cwd / "out")
    events = timeline(recording)
    assert counts(events, "user") == {"work": 2, "early": 1, "task": 3, "slept": 3, "fails": 1}
    (load,) = called(events, "load", "mine")
    assert load.fields == {"files": 3}
    tasks = called(events, "task", "user")
    slept = {one.fields["number"]: one.start for one in called(events, "slept", "user")}
    # Each task's range has its own end, just after its own mark, although all three overlap in one
    # thread.
    assert (
        [one.fields["number"] for one in sorted(tasks, key=lambda one: one.end)]
        == [2, 1, 0]
        == sorted(slept, key=lambda n: slept[n])
    )
    assert all(slept[one.fields["number"]] <= one.end for one in tasks)
    names = {index: thread.name for index, thread in recording.threads.items()}
    assert [names[one.thread] for one in called(events, "work", "user")] == ["MainThread", "second"]
    assert all(
        [one.cls for one in inside(events, work)] == ["Linear"]
        for work in called(events, "work", "user")
    )
    assert_nested([one for one in events if one.message not in ("task", "slept")])
    assert not recording.find_open_ranges()


def test_nothing_without_a_session(python: Python) -> None:
    assert run(python, PROGRAM, on=False) == "raised\nInactiveRange\n"
    assert run(python, PROGRAM, on=True, AUTOINSTR_WHEN="manual") == "raised\nInactiveRange\n"
    assert all(not timeline(one) for one in recordings(python.cwd / "out"))


def test_they_honour_the_window(python: Python) -> None:
    run(python, WINDOW, on=True, AUTOINSTR_WINDOW="2:2")
    events = timeline(the_recording(python.cwd / "out"))
    # Steps end in Optimizer.step: the range around the third has begun before the window opened,
    # that around the fourth in it.
    assert [one.fields["number"] for one in called(events, "step", "user")] == [2, 3]
    assert [one.fields["number"] for one in called(events, "done", "user")] == [1, 2]
    assert [one.fields["step"] for one in called(events, "step", "torch")] == [3, 4]


@pytest.mark.parametrize("on", [False, True], ids=["off", "on"])
def test_compiled_code_has_none_and_its_graph_does_not_break(python: Python, on: bool) -> None:
    said = run(python, COMPILED, on)
    assert said.endswith(" 1 {}\n"), said
    if on:
        events = timeline(the_recording(python.cwd / "out"))
        # The two compiled calls have none inside; the plain one has them all.
        assert (
            counts(events, "user") == {"outside": 1, "inside": 1, "helper": 1, "mark": 1}
            and len(called(events, "more", "mine")) == 1
        )
