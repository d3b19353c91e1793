"""The simulated device under the real torch_npu: tensors, arithmetic, memory, streams.

What this leaves unproved: that a real device computes, schedules or fails like this. These tests
say that the simulation holds together (self-consistency), so that what later tests see of the agent
on it is not an artefact of a broken device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.npu.simulated import BUILD, Ran, RunNpu, Unavailable, require

DEVICE = """
names = set(globals())
cpu = torch.arange(24.0).reshape(4, 6)
there = cpu.to("npu:1")
give(
    version=torch_npu.__version__, torch=torch.__file__, available=torch.npu.is_available(),
    count=torch.npu.device_count(),
    name=torch.npu.get_device_name(0), device=str(there.device), back=torch.equal(there.cpu(),
        cpu), between=there.to("npu:0").sum().item(),
    left_in_main=sorted(set(globals()) - names - {"names", "cpu", "there", "__warningregistry__"}),
    modules=[name for name in sys.modules if "cannsim" in name],
)
base = torch.zeros(4, 4, device="npu")
base[1:3, ::2].add_(1)  # a view writes into its base
base.t()[0] += 5
pieces = torch.empty(0, device="npu")
torch.add(base, 1, out=pieces)
give(views=base.cpu().tolist(), out=pieces.cpu().tolist(), mask=base[base > 4].cpu().tolist(),
    half=base.half().sum().item())
before = torch.npu.memory_allocated()
block = torch.empty(1 << 20, dtype=torch.uint8, device="npu")
give(allocated=torch.npu.memory_allocated() - before, free=torch.npu.mem_get_info()[0],
    total=torch.npu.mem_get_info()[1])
try:
    torch.empty(1 << 33, dtype=torch.uint8, device="npu")
except RuntimeError as error:
    give(too_much=type(error).__name__)
try:
    torch_npu.npu_fusion_attention(base[None], base[None], base[None], 1, "BSH")
except RuntimeError as error:
    give(own_operator=str(error).splitlines()[0])
"""

TRAINING = """
def train(device, make, dropout=0.0):
    torch.manual_seed(0)
    net = make(dropout).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    random, losses, gradients = torch.Generator().manual_seed(1), [], []
    for _ in range(3):
        inputs = torch.randn(4, 5, 8, generator=random).to(device)
        loss = torch.nn.functional.cross_entropy(net(inputs).flatten(0, 1),
            torch.arange(20, device=device) % 4)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        gradients = [p.grad.cpu() for p in net.parameters()]
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    device = str(next(net.parameters()).device)
    return losses, gradients, [p.detach().cpu() for p in net.parameters()], device
nn = torch.nn
def mlp(dropout):
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Dropout(dropout),
        nn.Linear(16, 4))
def transformer(dropout):
    return nn.Sequential(nn.Linear(8, 16), nn.TransformerEncoderLayer(16, 4, 32, dropout=dropout,
        batch_first=True), nn.Linear(16, 4))
def differ(ours, theirs):
    return max((one - other).abs().max().item() for one, other in zip(ours, theirs))
for make in (mlp, transformer):
    cpu, npu = train("cpu", make), train("npu", make)
    give(**{make.__name__: {"losses": [cpu[0], npu[0]], "gradients": differ(cpu[1], npu[1]),
        "device": npu[3]}})
give(dropout=[train("npu", transformer, 0.5)[0] for _ in range(2)])
with torch.autocast("npu", dtype=torch.bfloat16):
    give(autocast=str(nn.Linear(8, 4).npu()(torch.ones(2, 8, device="npu")).dtype))
with torch.inference_mode():
    give(inference=transformer(0.0).npu().eval()(torch.ones(1, 5, 8,
        device="npu")).cpu().isfinite().all().item())
"""

STREAMS = """
default = torch_npu.npu.current_stream()
second, third = torch_npu.npu.Stream(), torch_npu.npu.Stream()
def current():
    stream, device, kind = torch_npu._C._npu_getCurrentStream(0)
    now = torch_npu.npu.current_stream()
    assert (stream, device, kind) == (now.stream_id, now.device_index, now.device_type)
    return stream
seen = {"default": current()}
with torch_npu.npu.stream(second):
    seen["second"] = current()
    with torch_npu.npu.stream(third):
        seen["third"] = current()
    seen["second again"] = current()
thread = threading.Thread(target=lambda: seen.update(thread=current()))
with torch_npu.npu.stream(third):
    thread.start(); thread.join()
seen["after"] = current()
give(current=seen, of_streams=[default.stream_id, second.stream_id, third.stream_id],
    kind=default.device_type,
     acl=[acl_id(default), acl_id(second), acl_id(third)])
first, last = torch_npu.npu.Event(enable_timing=True), torch_npu.npu.Event(enable_timing=True)
first.record(); last.record(second); torch.npu.synchronize()
give(elapsed=first.elapsed_time(last), done=last.query(), idle=second.query())
"""


@pytest.fixture(scope="module")
def ran(npu: RunNpu) -> Ran:
    return npu(DEVICE + STREAMS + TRAINING, devices=2)


def test_the_real_wheel_sees_the_devices(ran: Ran) -> None:
    given = ran.given
    assert given["version"].startswith("2.13.0") and given["available"] and given["count"] == 2
    assert given["name"] == "Ascend910B3"
    assert ".venv-npu" not in given["torch"]  # one torch for both environments


def test_tensors_go_there_and_back(ran: Ran) -> None:
    given = ran.given
    assert given["device"] == "npu:1" and given["back"] and given["between"] == 276.0


def test_views_and_out_arguments_write_where_they_should(ran: Ran) -> None:
    expected = [
        [5.0, 0.0, 0.0, 0.0],
        [6.0, 0.0, 1.0, 0.0],
        [6.0, 0.0, 1.0, 0.0],
        [5.0, 0.0, 0.0, 0.0],
    ]
    assert ran.given["views"] == expected
    assert ran.given["out"] == [[value + 1 for value in row] for row in expected]
    assert ran.given["mask"] == [5.0, 6.0, 6.0, 5.0] and ran.given["half"] == 24.0


def test_memory_is_counted_and_bounded(ran: Ran) -> None:
    """Unproved: torch_npu's behaviour under fragmentation, and what CANN itself takes."""
    given = ran.given
    assert (
        1 << 20 <= given["allocated"] <= (1 << 20) + 1024
    )  # torch_npu adds 32 bytes and rounds up to 512
    assert 0 < given["free"] < given["total"] == 4096 << 20
    assert given["too_much"] == "OutOfMemoryError"


def test_what_is_not_simulated_fails_loudly(ran: Ran) -> None:
    assert "not in libopapi.so" in ran.given["own_operator"]


def test_the_program_sees_nothing_of_the_simulation(ran: Ran) -> None:
    """No module and no name of ours: the kernels come by aclInit, not by an import."""
    assert ran.given["left_in_main"] == ran.given["modules"] == []


def test_the_builder_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-S", str(BUILD)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("simulated CANN: torch_npu is not installed for ")


def test_the_reason_of_a_skip_is_what_setup_said(tmp_path: Path) -> None:
    program = tmp_path / ".venv-some" / "bin" / "python"
    with pytest.raises(Unavailable, match=r"no \.venv-some: `make setup-npu` makes it"):
        require(program)
    (tmp_path / ".venv-some").mkdir()
    (tmp_path / ".venv-some" / "unavailable").write_text(
        "make setup-npu: no wheel for this machine\n"
    )
    with pytest.raises(Unavailable, match=r"^make setup-npu: no wheel for this machine$"):
        require(program)


@pytest.mark.parametrize("model", ["mlp", "transformer"])
def test_training_gives_the_losses_of_the_cpu(ran: Ran, model: str) -> None:
    """Unproved: a device's own rounding. torch_npu takes other operators in matmul's backward,
    hence no equality to the last bit."""
    given = ran.given[model]
    cpu, npu = given["losses"]
    assert npu == pytest.approx(cpu, rel=1e-4) and cpu[0] != cpu[2]
    assert given["gradients"] < 1e-3 and given["device"] == "npu:0"


def test_dropout_autocast_and_inference_mode_run(ran: Ran) -> None:
    """Unproved: random numbers; a device has its own."""
    one, other = ran.given["dropout"]
    assert all(0 < loss < 10 for loss in one + other)
    assert ran.given["autocast"] == "torch.bfloat16" and ran.given["inference"] is True


def test_streams_have_ids_of_their_own(ran: Ran) -> None:
    given = ran.given
    default, second, third = given["of_streams"]
    assert len({default, second, third}) == 3 and len(set(given["acl"])) == 3
    assert given["current"] == {
        "default": default, "second": second, "third": third, "second again": second,
        "thread": default, "after": default,
    }  # fmt: skip
    assert given["kind"] == 20  # c10::DeviceType::PrivateUse1


def test_events_and_streams_complete(ran: Ran) -> None:
    """Unproved: everything that takes time on a device: here it is done before it is asked for."""
    assert ran.given["elapsed"] >= 0 and ran.given["done"] and ran.given["idle"]
