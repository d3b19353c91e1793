"""A recording and a torch.profiler trace of one run as an Ascend database.

The real msprof-analyze reads it; the model is a tiny Qwen2 of transformers. The expected values
come from the trace alone: the nn.Module events of torch's Python tracer and the operators
(tests/support/kineto.py).
"""

from __future__ import annotations

import functools
import gzip
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import GATE, REPO, Python
from tests.npu import exported, simulated
from tests.support import kineto

pytestmark = pytest.mark.peers

PROGRAM = """
import sys, torch
from torch.profiler import ProfilerActivity, profile
from transformers import Qwen2Config, Qwen2ForCausalLM
torch.manual_seed(0)
sizes = dict(hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1)
sizes["max_position_embeddings"] = 64
model = Qwen2ForCausalLM(Qwen2Config(vocab_size=64, num_hidden_layers=3, **sizes)).eval()
tokens = torch.arange(8).reshape(1, 8)
def infer():
    with torch.no_grad():
        model(input_ids=tokens)
def train():
    model.train()
    model(input_ids=tokens, labels=tokens).loss.backward()
work = {"infer": infer, "train": train}[sys.argv[2]]
work()  # recorded, and not profiled
with profile(activities=[ProfilerActivity.CPU], with_stack=True, record_shapes=True) as profiler:
    work(), work()
work()
profiler.export_chrome_trace(sys.argv[1])
"""


class Ran(NamedTuple):
    """A program that was recorded and profiled, and the exported database."""

    run: Path
    trace: Path
    out: Path
    done: subprocess.CompletedProcess[str]

    @property
    def database(self) -> Path:
        [database] = self.out.glob("*_ascend_pt/ASCEND_PROFILER_OUTPUT/*.db")
        return database

    @property
    def truth(self) -> kineto.Truth:
        return kineto.truth(self.trace)


def report(cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return Python(sys.executable, cwd).run(
        "-m", "autoinstr", "report", *map(str, words), on=None, path=(REPO,)
    )


def ran(folder: Path, kind: str) -> Ran:
    run, trace, out = folder / "run", folder / "trace.json", folder / "out"
    program = Python(sys.executable, folder).run(
        "-c", PROGRAM, trace, kind, path=(GATE,), env={"AUTOINSTR_OUT": str(run)}
    )
    assert program.returncode == 0, program.stderr
    done = report(folder, run, "--format", "ascend-db", "--kineto", trace, "-o", out)
    assert done.returncode == 0, done.stderr
    return Ran(run, trace, out, done)


@pytest.fixture(scope="module")
def inferred(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("infer"), "infer")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("train"), "train")


@pytest.fixture(params=["inferred", "trained"])
def either(request: pytest.FixtureRequest) -> Ran:
    found: Ran = request.getfixturevalue(request.param)
    return found


class Table(NamedTuple):
    """module_statistic's rows by path of classes: operators with their calls and time in ns."""

    operators: dict[str, Counter[str]]
    ns: Counter[str]


@functools.cache  # msprof-analyze takes seconds
def statistic(out: Path) -> list[tuple[Any, ...]]:
    made = exported.module_statistic(out, out.parent / "statistic")
    query = """SELECT parentModule, module, opName, `totalKernelDuration(ns)`, opCount
        FROM ModuleStatistic"""
    return exported.rows(made / "cluster_analysis.db", query)


def table(ran: Ran, backward: bool = False) -> Table:
    try:
        rows = statistic(ran.out)
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    found = Table(defaultdict(Counter), Counter())
    for parent, module, operator, ns, count in rows:
        # It tells a module's variants apart by a number behind the class (other operators in the
        # first call, say).
        path = "/".join(filter(None, (parent, re.sub(r"_\d+$", "", module))))
        if ("[Backward]" in path) == backward:
            found.operators[path][operator] += count
            found.ns[path] += round(ns)
    return found


def with_parents(paths: set[str]) -> set[str]:
    return {
        "/".join(path.split("/")[: depth + 1])
        for path in paths
        for depth in range(path.count("/") + 1)
    }


def analysed(ran: Ran, *more: object) -> subprocess.CompletedProcess[str]:
    if not exported.MSPROF_ANALYZE.exists():
        pytest.skip("no .venv-msprof with msprof-analyze: `make setup-npu` makes it")
    words = map(str, ("analyse", ran.out, "--msprof-analyze", exported.MSPROF_ANALYZE, *more))
    return Python(sys.executable, ran.out.parent).run(
        "-m", "autoinstr", *words, on=None, path=(REPO,)
    )


def test_the_module_tree_of_msprof_analyze_is_the_one_of_torchs_own_events(either: Ran) -> None:
    truth = either.truth
    assert (
        len(truth.calls) > 10
        and truth.calls["Qwen2ForCausalLM/Qwen2Model/Qwen2DecoderLayer/Qwen2MLP"] == 2 * 3
    )
    assert with_parents(set(table(either).operators)) == set(truth.calls)


def test_the_operators_of_each_module_are_those_that_torch_saw_in_it(either: Ran) -> None:
    assert table(either).operators == either.truth.operators
    assert either.truth.operators[
        "Qwen2ForCausalLM/Qwen2Model/Qwen2DecoderLayer/Qwen2MLP/Linear"
    ] == {"aten::linear": 2 * 3 * 3}


def test_the_time_of_each_module_is_that_of_its_operators_to_the_nanosecond(either: Ran) -> None:
    assert table(either).ns == either.truth.ns


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "alone"])
def test_the_report_has_the_time_and_the_operators_of_each_module(
    either: Ran, joined: bool
) -> None:
    """The profile joined with our recording, and alone, by torch's own module events."""
    words = [either.run, "--profile", either.trace] if joined else [either.trace]
    done = report(either.run.parent, *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in told["rows"]:
        count, ns = ((row["device"] or {}).get("by_basis") or {}).get("eager", (0, 0))
        found["/".join(row["classes"])][0] += count
        found["/".join(row["classes"])][1] += ns
    modules = {path for path in either.truth.ns if path}
    expected = {
        path: [either.truth.operators[path].total(), either.truth.ns[path]] for path in modules
    }
    assert {path: sums for path, sums in found.items() if sums != [0, 0]} == expected
    bases = told["device"]["bases"]
    for key, number in zip(("kernels", "device_ns"), kineto.own_operators(either.trace)):
        assert sum(basis[key] for basis in bases.values()) == told["device"][key] == number
    in_modules = [sum(sums[index] for sums in expected.values()) for index in (0, 1)]
    assert [bases["eager"]["kernels"], bases["eager"]["device_ns"]] == in_modules
    assert bases["unknown"]["kernels"] == 0
    # each step of the training has nodes for the operators of its modules
    nodes = sum(kineto.backward(either.trace).values(), Counter()).total()
    assert bases["backward"]["kernels"] >= nodes and bool(nodes) == ("train" in str(either.run))


def test_calls_are_those_of_the_profile_not_of_the_whole_recording(either: Ran) -> None:
    told = json.loads(analysed(either, "--format", "json").stdout)
    calls = {
        row["path"]: row["calls"]
        for row in told["rows"]
        if row["calls"] is not None and row["variant"] is None
    }
    assert calls == dict(either.truth.calls)


def test_backward_is_linked_to_the_modules_of_its_forward(trained: Ran) -> None:
    """This holds for the nodes of autograd's graph. msprof-analyze also counts what the engine does
    between two nodes of a module for that module.
    """
    found = {
        path.replace("[Backward]", ""): operators
        for path, operators in table(trained, backward=True).operators.items()
    }
    truth = kineto.backward(trained.trace)
    assert len(truth) > 8 and truth.keys() - {""} == found.keys()
    for path, operators in found.items():
        assert (
            Counter(
                {
                    name: count
                    for name, count in operators.items()
                    if re.search(r"Backward\d+$", name)
                }
            )
            == truth[path]
        )
    assert not any(
        "Backward0" in name for names in table(trained).operators.values() for name in names
    )


def test_autoinstr_analyse_shows_it_and_says_that_no_device_took_part(inferred: Ran) -> None:
    done = analysed(inferred)
    assert done.returncode == 0, done.stderr
    assert "Qwen2DecoderLayer" in done.stdout and "100.0% in modules" in done.stdout
    assert "! no device took part: what is called a kernel here is an operator" in done.stdout


def test_every_task_is_an_operator_that_was_seen_and_says_that_it_is_none_of_a_device(
    inferred: Ran,
) -> None:
    query = """SELECT n.value, k.value, t.startNs, t.endNs, t.deviceId FROM TASK t
        JOIN COMPUTE_TASK_INFO i USING (globalTaskId) JOIN STRING_IDS n ON n.id = i.name
        JOIN STRING_IDS k ON k.id = t.taskType"""
    tasks = exported.rows(inferred.database, query)
    events = kineto.read(inferred.trace)
    seen = Counter(
        (event["name"], round(event["dur"] * 1000))
        for event in events["traceEvents"]
        if event.get("cat") == "cpu_op"
    )
    assert tasks and {(kind, device) for _, kind, _, _, device in tasks} == {("cpu_op", -1)}
    assert not Counter((name, end - start) for name, _, start, end, _ in tasks) - seen


def test_all_operators_are_there_in_the_recordings_time(inferred: Ran) -> None:
    """All are shifted by the difference of the two clocks."""
    query = """SELECT CAST(a.startNs AS INTEGER), s.value FROM PYTORCH_API a
        JOIN STRING_IDS s ON s.id = a.name"""
    found = exported.rows(inferred.database, query)
    events = kineto.read(inferred.trace)
    base = events["baseTimeNanoseconds"]
    expected = sorted(
        (base + round(event["ts"] * 1000), event["name"])
        for event in events["traceEvents"]
        if event.get("cat") == "cpu_op"
    )
    shifts = {start - mine for (start, name), (mine, other) in zip(sorted(found), expected)}
    assert [name for _, name in sorted(found)] == [name for _, name in expected] and len(
        shifts
    ) == 1
    assert abs(shifts.pop()) <= 250_000
    said = re.search(r"trace moved by [+-][\d.]+ (ns|µs)", inferred.done.stderr)
    assert said, inferred.done.stderr


def test_no_operator_overlaps_a_range(either: Ran) -> None:
    assert "without a link" not in either.done.stderr
    ranges = exported.rows(either.database, "SELECT startNs, endNs FROM MSTX_EVENTS")
    for start, end in exported.rows(
        either.database, "SELECT CAST(startNs AS INTEGER), CAST(endNs AS INTEGER) FROM PYTORCH_API"
    ):
        assert not any(
            start < begin < end < stop or begin < start < stop < end for begin, stop in ranges
        )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("path", "model.layers.1.mlp"), ("path:class", "model.layers.1.mlp:Qwen2MLP")],
)
def test_modules_may_be_called_by_their_paths(
    inferred: Ran, tmp_path: Path, name: str, expected: str
) -> None:
    done = report(
        tmp_path,
        inferred.run,
        "--format",
        "ascend-db",
        "--kineto",
        inferred.trace,
        "--name",
        name,
        "-o",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
    rows = table(Ran(inferred.run, inferred.trace, tmp_path / "out", done))
    [path] = [path for path in rows.operators if path.endswith("/" + expected)]
    assert path.count("/") == 3 and sum(rows.ns.values()) == sum(inferred.truth.ns.values())


def test_a_gzipped_trace_gives_the_same_database(inferred: Ran, tmp_path: Path) -> None:
    packed = tmp_path / "trace.json.gz"
    with gzip.open(packed, "wb", compresslevel=1) as stream:
        stream.write(inferred.trace.read_bytes())
    done = report(
        tmp_path, inferred.run, "--format", "ascend-db", "--kineto", packed, "-o", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    [database] = (tmp_path / "out").rglob("*.db")
    for name in (
        "MSTX_EVENTS",
        "PYTORCH_API",
        "TASK",
        "COMPUTE_TASK_INFO",
        "CONNECTION_IDS",
        "STRING_IDS",
    ):
        assert exported.rows(database, f"SELECT * FROM {name}") == exported.rows(
            inferred.database, f"SELECT * FROM {name}"
        )


def test_by_default_it_lies_in_the_run_and_is_written_anew(inferred: Ran, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(inferred.run, run)
    assert report(tmp_path, run, "--format", "ascend-db").returncode == 0
    [database] = run.glob("*_ascend_pt/ASCEND_PROFILER_OUTPUT/ascend_pytorch_profiler_0.db")
    with sqlite3.connect(database) as connection:
        assert not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'PYTORCH_API'"
        ).fetchall()
    assert (
        report(tmp_path, run, "--format", "ascend-db", "--kineto", inferred.trace).returncode == 0
    )
    assert exported.rows(database, "SELECT COUNT(*) FROM PYTORCH_API")[0][0] > 1000
    assert not list(run.glob(".*"))


def test_a_trace_of_another_time_is_refused_with_the_distance(
    inferred: Ran, tmp_path: Path
) -> None:
    told: dict[str, Any] = kineto.read(inferred.trace)
    told["baseTimeNanoseconds"] += 500 * 10**9
    (tmp_path / "later.json").write_text(json.dumps(told))
    done = report(
        tmp_path,
        inferred.run,
        "--format",
        "ascend-db",
        "--kineto",
        tmp_path / "later.json",
        "-o",
        tmp_path / "out",
    )
    assert done.returncode == 1
    assert re.search(
        r"recorded nothing while this trace was made: "
        r"its last range ended 4\d\d\.\d s before the trace",
        done.stderr,
    ), done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_trace_whose_operators_do_not_fit_is_refused(inferred: Ran, tmp_path: Path) -> None:
    told: dict[str, Any] = kineto.read(inferred.trace)
    told["baseTimeNanoseconds"] += 1_000_000
    (tmp_path / "wrong.json").write_text(json.dumps(told))
    done = report(
        tmp_path,
        inferred.run,
        "--format",
        "ascend-db",
        "--kineto",
        tmp_path / "wrong.json",
        "-o",
        tmp_path / "out",
    )
    assert done.returncode == 1 and "its operators do not fit the ranges" in done.stderr


RANKS = """
import sys, torch, torch.distributed as dist
from torch.profiler import ProfilerActivity, profile
dist.init_process_group("gloo")
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(32, 64), torch.nn.Linear(64, 32)
    def forward(self, x):
        x = self.down(self.up(x))
        dist.all_reduce(x)
        return x
net, x, rank = Net(), torch.ones(4, 32), dist.get_rank()
with torch.no_grad():
    net(x)
    with profile(activities=[ProfilerActivity.CPU], with_stack=True) as profiler:
        for _ in range(2):
            net(x)
            for _ in range(3 * rank):
                net.up(x)  # rank 1 has more to do
            profiler.step()
profiler.export_chrome_trace(f"{sys.argv[1]}/{rank}.json")
dist.destroy_process_group()
"""


def test_two_ranks_of_torchrun_have_a_database_each(tmp_path: Path) -> None:
    """One command writes both; rank 1 also calls a module alone."""
    (tmp_path / "ranks.py").write_text(RANKS)
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "ranks.py", tmp_path]
    program = Python(sys.executable, tmp_path).run(
        *words, path=(GATE,), env={"AUTOINSTR_OUT": str(tmp_path / "run")}
    )
    assert program.returncode == 0, program.stderr
    traces = [tmp_path / "0.json", tmp_path / "1.json"]
    given = [word for trace in traces for word in ("--kineto", trace)]
    done = report(
        tmp_path, tmp_path / "run", "--format", "ascend-db", *given, "-o", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.db")) == [
        f"ascend_pytorch_profiler_{rank}.db" for rank in (0, 1)
    ]
    told = json.loads(
        analysed(Ran(tmp_path / "run", tmp_path, tmp_path / "out", done), "--format", "json").stdout
    )
    for rank, trace in enumerate(traces):
        truth = kineto.truth(trace)
        [at] = [at for at, one in enumerate(told["profiles"]) if one["rank"] == rank]
        rows = {
            row["path"]: row
            for row in told["rows"]
            if row["profile"] == at and row["variant"] is None
        }
        assert {path: row["calls"] for path, row in rows.items()} == dict(truth.calls)
        assert {path: row["self_ns"] for path, row in rows.items()} == {
            path: truth.ns[path] for path in rows
        }
    assert kineto.truth(traces[1]).calls == {"Net": 2, "Net/Linear": 4, "Linear": 6}
