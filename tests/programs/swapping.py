"""Others patch Module.__call__ too, and the agent is switched in the middle of it. Prints what was
found wrong: nothing, one hopes."""

from __future__ import annotations

import json
import sys
import threading
import time

import torch
from nets import Net, X
from torch import nn
from truth import digest

from autoinstr.agent import bootstrap
from autoinstr.recording.reader import Recording

torch.set_num_threads(1)
SESSION = bootstrap.get_session()
TORCHS = nn.Module._wrapped_call_impl
net = Net()
EXPECTED = digest(net(X))
problems: list[str] = []
case = ""


def check(condition: bool, said: str) -> None:
    if not condition:
        problems.append(f"{case}: {said}")


def current():
    return nn.Module.__dict__["__call__"]


def toggle() -> None:
    SESSION.switch_off("test")
    SESSION.switch_on("test")


def recorded() -> int:
    """Closed ranges so far."""
    return sum(
        len(words) // 3 for _, words in Recording(SESSION.recorder.writer.path).read_blocks()
    )


def the_guides_script() -> None:
    """original_call is kept for good; each call of a module is seen by custom_call exactly once,
    whatever the agent does."""
    original_call = nn.Module.__call__
    seen = []

    def custom_call(self, *args, **kwargs):
        seen.append(type(self).__name__)
        return original_call(self, *args, **kwargs)

    nn.Module.__call__ = custom_call
    for step in range(6):
        del seen[:]
        before = recorded()
        check(digest(net(X)) == EXPECTED, "the result differs")
        check(len(seen) == 12, f"custom_call saw {len(seen)} calls")
        check(
            recorded() - before == (12 if step % 2 == 0 else 0),
            f"{recorded() - before} ranges at step {step}",
        )
        (SESSION.switch_off if step % 2 == 0 else SESSION.switch_on)("test")
        check(current() is custom_call, "custom_call was overwritten")
    nn.Module.__call__ = original_call


def patched_while_off() -> None:
    SESSION.switch_off("test")
    check(current() is TORCHS, "off is not torch's own")
    original = nn.Module.__call__

    def custom_call(self, *args, **kwargs):
        return original(self, *args, **kwargs)

    nn.Module.__call__ = custom_call
    SESSION.switch_on("test")
    check(current() is custom_call, "overwritten")
    check(digest(net(X)) == EXPECTED, "the result differs")
    nn.Module.__call__ = original
    toggle()
    check(digest(net(X)) == EXPECTED, "the result differs afterwards")
    before = recorded()
    net(X)
    check(
        recorded() - before == 12,
        "no ranges once the other patch is gone and the agent switched again",
    )


def saved_and_restored() -> None:
    """As torch_npu/_step.py, torch.ao.quantization.utils and torch.fx do: save, patch, restore what
    was saved."""
    for start in (SESSION.switch_on, SESSION.switch_off):
        for middle in (
            (SESSION.switch_off,),
            (SESSION.switch_on,),
            (SESSION.switch_off, SESSION.switch_on),
            (SESSION.switch_on, SESSION.switch_off),
        ):
            start("test")
            saved = nn.Module.__call__

            def patched(self, *args, _saved=saved, **kwargs):
                return _saved(self, *args, **kwargs)

            nn.Module.__call__ = patched
            for switch in middle:
                switch("test")
                check(current() is patched, f"overwritten after {switch}")
                check(digest(net(X)) == EXPECTED, "the result differs")
            nn.Module.__call__ = saved
            check(digest(net(X)) == EXPECTED, "the result differs after the restore")
            before = recorded()
            SESSION.switch_off("test")
            net(X)
            check(recorded() == before, "a range while off")
            toggle()
            before = recorded()
            net(X)
            check(recorded() - before == 12, "not 12 ranges while on")
            SESSION.switch_off("test")
            check(current() is TORCHS, "off, and nobody patches: not torch's own")
            SESSION.switch_on("test")


def symbolic_trace_toggled() -> None:
    """torch.fx patches Module.__call__ while it traces; a module's forward switches the agent in
    the middle of that."""

    class Toggles(nn.Module):
        def forward(self, x):
            toggle()
            if isinstance(x, torch.fx.Proxy):
                check(current() not in functions, "torch.fx's patch was overwritten")
            return torch.relu(x)

    functions = {current(), TORCHS}
    model = nn.Sequential(nn.Linear(4, 4), Toggles(), nn.Linear(4, 4))
    graph = torch.fx.symbolic_trace(model)
    check("relu" in graph.code, "the graph is not whole")
    check(digest(graph(X)) == digest(model(X)), "the graph gives another result")
    SESSION.switch_off("test")
    check(current() is TORCHS, "not torch's own after tracing")
    SESSION.switch_on("test")


def quantization_toggled() -> None:
    from torch.ao.quantization.utils import get_fqn_to_example_inputs

    class Toggles(nn.Module):
        def forward(self, x):
            toggle()
            return x

    inputs = get_fqn_to_example_inputs(nn.Sequential(Toggles(), nn.Linear(4, 4)), (X,))
    check(sorted(inputs) == ["", "0", "1"], f"inputs {sorted(inputs)}")
    SESSION.switch_off("test")
    check(current() is TORCHS, "not torch's own after the patch is gone")
    SESSION.switch_on("test")


def toggled_by_another_thread(seconds: float) -> None:
    """Four threads call, one switches: every result is right, every range that began has ended,
    nothing is left behind."""
    stop, calls, switches = threading.Event(), [0] * 4, 0

    def calling(number: int) -> None:
        mine = Net()
        torch.manual_seed(number)
        expected = digest(mine(X))
        while not stop.is_set():
            if digest(mine(X)) != expected:
                problems.append(f"{case}: the result differs")
            calls[number] += 1

    threads = [threading.Thread(target=calling, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end or switches < 4000:
        toggle()
        switches += 2
        if switches % 50 == 0:
            time.sleep(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    recording = Recording(SESSION.recorder.writer.path)
    check(
        not recording.find_open_ranges(),
        f"ranges without an end: {recording.find_open_ranges()[:3]}",
    )
    check(not recording.problems, str(recording.problems))
    check(switches >= 4000 and min(calls) > 10, f"{switches} switches, {calls} calls")
    SESSION.switch_off("test")
    check(current() is TORCHS, "not torch's own")
    SESSION.switch_on("test")


for function in (
    the_guides_script,
    patched_while_off,
    saved_and_restored,
    symbolic_trace_toggled,
    quantization_toggled,
):
    case = function.__name__
    SESSION.switch_on("test")
    function()
case = toggled_by_another_thread.__name__
toggled_by_another_thread(float(sys.argv[1]))
print(json.dumps({"problems": problems, "expected": EXPECTED}))
