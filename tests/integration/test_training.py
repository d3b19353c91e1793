"""Test unedited training scripts: the numbers are bit-identical, and each rank's recording has
every part of a step."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autoinstr.recording.reader import Recording
from tests.conftest import REPO, Python, clean_environment
from tests.programs import PROGRAMS
from tests.support import pages
from tests.support.recorded import named, recordings, the_recording
from tests.support.timeline import Event, assert_nested, called, counts, inside, timeline

TORCHRUN = [
    str(Path(sys.executable).with_name("torchrun")),
    "--standalone",
    "--nproc-per-node",
    "2",
    str(PROGRAMS / "training.py"),
]
AUTOINSTR = [sys.executable, "-m", "autoinstr", "run"]
STEPS, EPOCHS = 12, 2


def train(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """tests/programs/training.py on two ranks, with checkpoints in `folder`."""
    folder.mkdir()
    environ = clean_environment(
        OMP_NUM_THREADS="1", **({"PYTHONPATH": str(REPO)} if before else {})
    )
    return subprocess.run(
        [*before, *TORCHRUN, str(folder)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=folder.parent,
        env=environ,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str], list[Recording]]:
    """What the ranks printed natively, what they printed under the agent, and the ranks'
    recordings."""
    folder = tmp_path_factory.mktemp("training")
    native = train(folder / "native")
    assert native.returncode == 0, native.stderr[-3000:]
    agent = train(folder / "agent", *AUTOINSTR, "--out", str(folder / "run"), "--")
    assert agent.returncode == 0, agent.stderr[-3000:]
    assert "autoinstr" not in agent.stderr, agent.stderr
    of_ranks = sorted(
        (one for one in recordings(folder / "run") if one.rank is not None),
        key=lambda one: one.rank or 0,
    )
    return sorted(native.stdout.splitlines()), sorted(agent.stdout.splitlines()), of_ranks


def test_losses_are_the_same_bit_for_bit(
    runs: tuple[list[str], list[str], list[Recording]],
) -> None:
    native, agent, _ = runs
    assert [line.partition(":")[0] for line in native] == ["rank 0", "rank 1"]
    assert all(line.count("0x1.") > STEPS for line in native) and native[0] != native[1].replace(
        "rank 1", "rank 0"
    )
    assert agent == native


@pytest.mark.parametrize("rank", [0, 1])
def test_every_part_is_there_on_each_rank(
    runs: tuple[list[str], list[str], list[Recording]], rank: int
) -> None:
    (recording,) = [one for one in runs[2] if one.rank == rank]
    assert (recording.is_complete, recording.world_size, recording.find_open_ranges()) == (
        True,
        2,
        [],
    )
    events = timeline(recording)
    found = counts(events, "torch")
    assert found == {
        "dist.init_process_group": 1,
        "load": 1,
        "data.iter": EPOCHS,
        "data.fetch": STEPS + EPOCHS,  # the last of each epoch finds that there is none
        "optim.zero_grad": STEPS,
        "backward": STEPS,
        "optim.clip_grad_norm": STEPS,
        "optim.step": STEPS,
        "step": STEPS,
        "dist.all_reduce": EPOCHS,
        "save": 2 if rank == 0 else 1,
        "dist.barrier": found[
            "dist.barrier"
        ],  # init_process_group and DDP have some of their own, which differ between versions
        "dist.destroy_process_group": 1,
        **{name: found[name] for name in found if name in ("dist.all_gather", "dist.broadcast")},
    }
    assert found["dist.barrier"] >= 2
    modules = Counter(f"{one.path}|{one.cls}" for one in events if one.domain == "Module")
    for module in (
        "|DistributedDataParallel",
        "module|Transformer",
        "module.blocks.1.mlp.0|Linear",
        "module.embedding|Embedding",
    ):
        assert modules[module] == STEPS, module
    assert_nested(events)
    assert [one.fields["step"] for one in called(events, "step")] == list(range(1, STEPS + 1))
    assert all(one.fields == {"optimizer": "AdamW"} for one in called(events, "optim.step"))
    reduced = [one.fields["bytes"] for one in called(events, "dist.all_reduce")]
    assert reduced == [4] * EPOCHS


@pytest.mark.parametrize("rank", [0, 1])
def test_a_step_reads_in_the_order_of_the_script(
    runs: tuple[list[str], list[str], list[Recording]], rank: int
) -> None:
    (recording,) = [one for one in runs[2] if one.rank == rank]
    parts = {
        "data.fetch",
        "optim.zero_grad",
        "backward",
        "optim.clip_grad_norm",
        "optim.step",
        "step",
    }
    order = [
        one.message
        for one in timeline(recording)
        if one.message in parts or (one.domain == "Module" and not one.path)
    ]
    ((forward,),) = [{name for name in order if name not in parts}]
    step = [
        "data.fetch",
        "optim.zero_grad",
        forward,
        "backward",
        "optim.clip_grad_norm",
        "optim.step",
        "step",
    ]
    assert order == (step * (STEPS // EPOCHS) + ["data.fetch"]) * EPOCHS


CLOSURES = """
import torch
torch.manual_seed(0)
net = torch.nn.Linear(3, 1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
calls = []
def closure():
    calls.append(1)
    if len(calls) == 9:
        raise KeyError("once")
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(net(x), y)
    loss.backward()
    return loss
for _ in range(4):
    try:
        print(float(optimizer.step(closure)).hex())
    except KeyError:
        print("raised")
print(len(calls))
"""

SCALED = """
import torch
torch.manual_seed(0)
net = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
for step in range(4):
    optimizer.zero_grad()
    loss = net(torch.randn(8, 3)).pow(2).mean()
    scaler.scale(loss).backward()
    if step == 1:
        net.weight.grad.fill_(float("inf"))
    scaler.step(optimizer)
    scaler.update()
    print(float(loss).hex(), scaler.get_scale())
"""


def both(python: Python, program: str, **env: str) -> tuple[str, list[Event]]:
    """Runs a program natively and under the agent; what it printed, and its timeline."""
    (python.cwd / "program.py").write_text(program)
    native = python.run("program.py", on=None)
    agent = python.run("program.py", env={"AUTOINSTR_OUT": "out", **env})
    assert (agent.returncode, agent.stdout, agent.stderr) == (
        native.returncode,
        native.stdout,
        native.stderr,
    ) and native.returncode == 0
    return native.stdout, timeline(the_recording(python.cwd / "out"))


def test_a_closure_runs_inside_its_optimizer_step_and_one_that_raises_has_no_range(
    python: Python,
) -> None:
    said, events = both(python, CLOSURES)
    assert said.split()[2] == "raised"
    assert_nested(events)
    steps = called(events, "optim.step")
    assert len(steps) == 3 and [one.fields["step"] for one in called(events, "step")] == [1, 2, 3]
    for one in steps:
        within = inside(events, one)
        assert counts(within, "torch")["backward"] == counts(within, "Module")["Linear"] >= 1
    assert (
        counts(events, "torch")["backward"]
        == int(said.split()[-1]) - 1
        > sum(len(called(inside(events, one), "backward")) for one in steps) - 1
    )


def test_a_step_that_a_scaler_skips_is_none(python: Python) -> None:
    _, events = both(python, SCALED, AUTOINSTR_TARGETS="default,amp.scale")
    found = counts(events, "torch")
    assert (found["amp.scale"], found["amp.step"], found["amp.update"], found["backward"]) == (
        4,
        4,
        4,
        4,
    )
    assert (found["optim.step"], found["step"]) == (3, 3)
    assert [
        len(called(inside(events, one), "optim.step")) for one in called(events, "amp.step")
    ] == [1, 0, 1, 1]
    assert all(
        len(called(inside(events, one), "amp.unscale")) <= 1 for one in called(events, "amp.step")
    )


RAISES = """
import torch
net = torch.nn.Linear(3, 1)
optimizer = torch.optim.LBFGS(net.parameters())
net(torch.ones(1, 3)).sum().backward()
def closure():
    raise KeyError("never")
optimizer.step(closure)
"""


def test_a_step_that_ends_the_program_leaves_no_range_open(python: Python) -> None:
    (python.cwd / "program.py").write_text(RAISES)
    done = python.run("program.py", env={"AUTOINSTR_OUT": "out"})
    assert (
        done.returncode == 1
        and done.stderr.endswith("KeyError: 'never'\n")
        and "autoinstr" not in done.stderr
    )
    recording = the_recording(python.cwd / "out")
    assert recording.is_complete and not recording.find_open_ranges()
    assert counts(timeline(recording), "torch") == {"backward": 1}


def test_the_page_has_a_bar_for_each_step_and_both_ranks(
    runs: tuple[list[str], list[str], list[Recording]], tmp_path: Path
) -> None:
    pages.page_of(Path(runs[2][0].file).parent, tmp_path / "report.html")
    data = pages.data_of(tmp_path / "report.html")
    assert (data["steps"]["sort"], data["steps"]["of"]) == ("optimizer", STEPS)
    # The busiest rank's steps: each lasts from one mark to the next.
    gaps = [
        [b.start - a.start for a, b in zip(marks, marks[1:])]
        for marks in (named(one, "mark") for one in runs[2])
    ]
    assert data["steps"]["duration"][1:] in gaps
    median = next(item for item in data["excerpts"]["items"] if item["reason"].startswith("median"))
    for lane in median["lanes"]:
        titles = {data["excerpts"]["names"][number][0] for number in lane["name"]}
        assert {"backward", "optim.step"} & titles
    assert {data["processes"][lane["process"]]["rank"] for lane in median["lanes"]} == {0, 1}
    (compared,) = [
        tree
        for group in data["groups"]
        for tree in group["domains"]
        if "ranks" in tree and tree["modules"]
    ]
    ranks = [data["processes"][at]["rank"] for at in compared["ranks"]["members"]]
    assert sorted(ranks) == [0, 1], "rank 0 alone saves checkpoints, and is compared all the same"
