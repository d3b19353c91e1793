"""The training sample of vllm-ascend's profiling guide, without and with its own instrumentation,
by itself and under the agent.

What this leaves unproved: what a device makes of it; losses are computed by torch's CPU kernels.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.npu import under_agent
from tests.npu.simulated import Ran
from tests.npu.under_agent import said, tree

# The guide's classes as printed, but for its ranges: {forward} is the body of forward, {begin} what
# a step begins with.
SAMPLE = """
class SmallModel(torch.nn.Module):
    def __init__(self, in_channel=3, out_channel=12):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(in_channel, in_channel, 3, padding=1)
        self.relu1 = torch.nn.ReLU()
        self.conv2 = torch.nn.Conv2d(in_channel, out_channel, 3, padding=1)

    def forward(self, input_1):
        {forward}
        return input_1.reshape(input_1.shape[0], -1)

class TrainModel:
    def __init__(self):
        self.input_shape = (4, 3, 24, 24)
        self.out_shape = (4, 12, 24, 24)
        self.device = torch.device("npu:0")
        self.model = SmallModel(self.input_shape[1], self.out_shape[1]).to(self.device)
        self.criterion = torch.nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0001)

    def train_one_step(self):
        {begin}
        inputs = torch.rand(self.input_shape).to(self.device)
        target = torch.rand(self.out_shape).reshape(self.out_shape[0], -1).to(self.device)
        output = self.model(inputs)
        loss = self.criterion(output, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

torch.manual_seed(0)
train = TrainModel()
losses = [train.train_one_step()]
with profile():
    losses += [train.train_one_step() for _ in range(2)]
    torch.npu.synchronize()
give(losses=losses)
"""
PLAIN = SAMPLE.format(forward="input_1 = self.conv2(self.relu1(self.conv1(input_1)))", begin="pass")
BY_HAND = SAMPLE.format(
    begin=(
        'torch_npu.npu.mstx.mark("mark for train_one_step begin", torch_npu.npu.current_stream())'
    ),
    forward="""stream = torch_npu.npu.current_stream()
        mstx_conv1 = torch_npu.npu.mstx.range_start("start/end range for conv1", stream)
        input_1 = self.conv1(input_1)
        torch_npu.npu.mstx.range_end(mstx_conv1)
        mstx_relu1 = torch_npu.npu.mstx.range_start("start/end range for relu", stream)
        input_1 = self.relu1(input_1)
        torch_npu.npu.mstx.range_end(mstx_relu1)
        mstx_conv2 = torch_npu.npu.mstx.range_start("start/end range for conv2", stream)
        input_1 = self.conv2(input_1)
        torch_npu.npu.mstx.range_end(mstx_conv2)""",
)
STEP = ["SmallModel", " Conv2d", " ReLU", " Conv2d", "MSELoss"]


@pytest.fixture(scope="module")
def runs(cann: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    folder = tmp_path_factory.mktemp("guide")
    return {
        "by hand": under_agent.run(cann, folder / "hand", BY_HAND, emitter="none"),
        "agent": under_agent.run(cann, folder / "agent", PLAIN, streams="on"),
        "both": under_agent.run(cann, folder / "both", BY_HAND),
    }


def test_losses_are_the_same(runs: dict[str, Ran]) -> None:
    assert len(runs["by hand"].given["losses"]) == 3
    assert (
        runs["agent"].given["losses"]
        == runs["both"].given["losses"]
        == runs["by hand"].given["losses"]
    )


def test_every_range_of_the_guides_is_there_on_the_same_stream_and_more(
    runs: dict[str, Ran],
) -> None:
    hand = [(start.stream != 0, end.stream != 0) for start, end in runs["by hand"].pairs("default")]
    assert (
        hand == [(True, False)] * 6 or hand == [(True, True)] * 6
    )  # conv1, relu and conv2 in two steps
    ours = runs["agent"]
    assert tree(ours, "Module") == STEP * 2
    device = [(start.message, start.stream) for start, _ in ours.pairs("device:Module")]
    assert [message for message, _ in device if message in ("Conv2d", "ReLU")] == [
        "Conv2d",
        "ReLU",
        "Conv2d",
    ] * 2
    assert len({stream for _, stream in device}) == 1 and device[0][1] != 0
    parts = [start.message for start, _ in ours.pairs("torch")]
    assert [part for part in parts if part in ("backward", "optim.step")] == [
        "backward",
        "optim.step",
    ] * 2
    assert [call.message for call in ours.of("mark", domain="torch")] == ["step"] * 2


def test_a_script_that_keeps_its_own_ranges_keeps_them(runs: dict[str, Ran]) -> None:
    both = runs["both"]
    assert [start.message for start, _ in both.pairs("default")] == [
        start.message for start, _ in runs["by hand"].pairs("default")
    ]
    assert tree(both, "Module") == STEP * 2 and not said(both)
