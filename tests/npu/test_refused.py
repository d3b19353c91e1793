"""What CANN would drop, merge or double: messages, domains and the Python events of our ranges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.npu import simulated, under_agent
from tests.npu.simulated import Ran

LONGEST = 254  # bytes of a message that MSPTI keeps
REFUSED = ("=", "+", "-", "@")

CLASSES = """
from torch import nn
long = "Layer" + "x" * 300
names = ["=Sum", "+Bias", "-Minus", "@Cached", "\\u00b5" * 200, long]
layers = [type(name, (nn.Identity,), {})() for name in names]
net = nn.Sequential(*layers)
work = [threading.Thread(target=net, args=(torch.ones(2).npu(),)) for _ in range(2)]
with profile():
    net(torch.ones(2).npu())
    for thread in work: thread.start()
    for thread in work: thread.join()
"""
RANGES = """
import autoinstr
from torch import nn
texts = ["=1+1", "-- load --", "@home", "+", "\\u00e9" * 300, "prompt " * 100]
net = nn.Linear(2, 2).npu()
with profile():
    for text in texts:
        autoinstr.mark(text)
        with autoinstr.range(text):
            net(torch.ones(2).npu())
"""


@pytest.fixture(scope="module", params=[CLASSES, RANGES], ids=["classes", "ranges"])
def ran(
    request: pytest.FixtureRequest, cann: Path, tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    folder = tmp_path_factory.mktemp("refused") / "run"
    return under_agent.run(cann, folder, request.param, streams="on")


def test_cann_keeps_each_message(ran: Ran) -> None:
    messages = [call.message for call in ran.of("start", "mark")]
    assert len(messages) >= 18
    assert not [text for text in messages if text[:1] in REFUSED or len(text.encode()) > LONGEST]
    assert any("xxxx" in text or "prompt" in text for text in messages)


def test_no_domain_begins_with_another(ran: Ran) -> None:
    domains = {call.domain for call in ran.of("start", "mark")}
    assert len(domains) >= 2
    assert not [(a, b) for a in domains for b in domains if a != b and b.startswith(a)]


# -- Python events ---------------------------------------------------------------------------------

GUIDE = """
from torch import nn
if "custom_call" in os.environ.get("CASE", ""):
    original, mstx = nn.Module.__call__, torch_npu.npu.mstx
    def custom_call(self, *args, **kwargs):
        begun = mstx.range_start(type(self).__name__, None, domain="Module")
        result = original(self, *args, **kwargs)
        mstx.range_end(begun, domain="Module")
        return result
    nn.Module.__call__ = custom_call
"""
FLAT = """
net = nn.Sequential(*[nn.Identity() for _ in range(4)])
calls = 5
"""
NESTED = """
class Block(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def forward(self, x, *, scale=1.0):
        return self.inner(x) if self.inner is not None else x
net = Block(Block(Block(None)))
calls = 3
"""
COUNT = """
x, counts = torch.ones(2).npu(), []
for _ in range(3): net(x)
for steps in (2, 52):
    tracer = P.profile(with_modules=True, experimental_config=P._ExperimentalConfig(mstx=True))
    tracer.start()
    torch.relu(x)  # a profile without a kernel is none
    for _ in range(steps): net(x)
    tracer.stop()
    tracer.export_chrome_trace("trace.json")
    with open("trace.json") as file:
        counts.append(sum(e.get("cat") == "python_function" for e in json.load(file)))
give(events=(counts[1] - counts[0]) / 50 / calls)
"""


@pytest.mark.parametrize("net", [FLAT, NESTED], ids=["flat", "nested"])
def test_a_call_has_no_more_events_than_with_the_guides_call(
    cann: Path, tmp_path: Path, net: str
) -> None:
    source = GUIDE + net + COUNT
    guide = simulated.run(cann, tmp_path / "guide", source, env={"CASE": "custom_call"})
    ours = simulated.run(cann, tmp_path / "agent", source, agent=True)
    assert ours.of("start", domain="Module")
    assert ours.given["events"] <= guide.given["events"] + 0.5, json.dumps(guide.given)
