"""Test the rows of the tables, whatever is installed."""

from __future__ import annotations

import collections
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstr.targets.events import EVENTS
from autoinstr.targets.getters import GETTERS
from autoinstr.targets.installed import MISSING, OK, check_targets
from autoinstr.targets.rows import (
    CALL_KINDS,
    COLUMNS,
    DOMAINS,
    ROLES,
    Target,
    is_in_version,
    load_builtin_targets,
)
from autoinstr.targets.versions import parse_version

REPO = Path(__file__).resolve().parents[2]
STEP = """
    async_llm.add_request llm_engine.add_request input.process client.add_request
    client.add_request_async engine.input_queue engine.step engine.step_bq sched.schedule
    sched.update_from_output kv.allocate_slots exec.execute_model.mp comm.shm_enqueue
    worker.execute_model runner.execute_model runner.prepare_inputs runner.model_forward
    attn.impl.cpu attn.impl.flash runner.sample sampler.forward worker.enqueue_output
    output.process output.detok runner2.execute_model runner2.prepare_inputs runner2.sample
"""
ENDLESS = {"run_busy_loop", "worker_busy_loop", "worker_main", "run_engine_core"}


def label(row: Target) -> str:
    return f"{row.name}={row.module}:{row.qualname}"


@pytest.mark.parametrize("package", DOMAINS)
def test_every_line_of_a_table_has_every_column(package: str) -> None:
    lines = (REPO / "autoinstr" / "targets" / f"{package}.tsv").read_text().splitlines()
    assert lines[0].split("\t") == list(COLUMNS)
    assert [
        line for line in lines if len(line.split("\t")) != len(COLUMNS) or "" in line.split("\t")
    ] == []
    assert [line for line in lines[1:] if line.split("\t")[7] not in ("0", "1")] == []


def test_every_row_is_made_of_known_words() -> None:
    for row in load_builtin_targets():
        assert row.kind in CALL_KINDS, label(row)
        assert set(row.roles) <= set(ROLES), label(row)
        assert set(row.attributes) <= {*GETTERS, *EVENTS}, label(row)
        assert row.module.split(".")[0] == row.package, label(row)
        assert all(
            part.isidentifier() for part in (*row.module.split("."), *row.qualname.split("."))
        ), label(row)
        assert len(row.qualname.split(".")) <= 2, label(row)


def test_bounds_are_versions_in_order() -> None:
    for row in load_builtin_targets():
        since, before = parse_version(row.since), parse_version(row.before)
        assert (since is None) == (row.since == "") and (before is None) == (row.before == ""), (
            label(row)
        )
        assert since is None or before is None or since < before, label(row)


def test_no_two_rows_of_one_callable_apply_to_one_version() -> None:
    rows_of = collections.defaultdict(list)
    for row in load_builtin_targets():
        rows_of[row.module, row.qualname].append(row)
    versions = {
        text for row in load_builtin_targets() for text in (row.since, row.before) if text
    } | {
        "0.0.1",
        "99",
    }
    for rows in rows_of.values():
        for one, other in itertools.combinations(rows, 2):
            assert not [
                text for text in versions if is_in_version(one, text) and is_in_version(other, text)
            ], f"{label(one)} and {label(other)}"
            assert one.name == other.name, "one callable has one name"


def test_rows_of_a_name_agree_on_kind_and_default_role() -> None:
    for name, rows in itertools.groupby(
        sorted(load_builtin_targets()), key=lambda row: (row.package, row.name)
    ):
        assert len({row.kind for row in rows}) == 1, name


def test_the_default_set_covers_a_step() -> None:
    names = {
        row.name
        for row in load_builtin_targets()
        if row.default and is_in_version(row, "0.32.0") and row.package == "vllm"
    }
    assert len(names) >= 40
    assert set(STEP.split()) - names == set()


TRAINING = """
    data.iter data.fetch backward autograd.grad optim.step optim.zero_grad optim.clip_grad_norm
    amp.unscale amp.step amp.update save load checkpoint.save checkpoint.load dist.all_reduce
    dist.all_gather dist.reduce_scatter_tensor dist.broadcast dist.barrier
    dist.init_process_group
"""


def test_the_default_set_covers_a_training_step() -> None:
    torchs = [row for row in load_builtin_targets() if row.package == "torch"]
    assert {row.domain for row in torchs} == {"torch"}
    for version in ("2.2", "2.6", "2.13"):
        assert set(TRAINING.split()) <= {
            row.name for row in torchs if row.default and is_in_version(row, version)
        }, version
    assert {row.name for row in torchs if not row.default} == {"amp.scale"}


def test_a_collective_has_one_row() -> None:
    """Its code is instrumented in place, so calls by each of its names are seen."""
    rows = [row for row in load_builtin_targets() if row.name.startswith("dist.")]
    assert len({row.name for row in rows}) == len(rows) > 20
    assert {row.module for row in rows} == {"torch.distributed.distributed_c10d"}


def test_what_never_ends_is_in_no_default_set() -> None:
    endless = [row for row in load_builtin_targets() if row.qualname.split(".")[-1] in ENDLESS]
    assert {row.qualname.split(".")[-1] for row in endless} == ENDLESS
    assert [label(row) for row in endless if row.default] == []
    assert all("ends with the process" in row.note for row in endless)


def test_reading_the_tables_imports_nothing_large() -> None:
    code = (
        "import sys; old = set(sys.modules); from autoinstr.targets.rows import "
        "load_builtin_targets; assert load_builtin_targets(); print(*set(sys.modules) - old)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "autoinstr.targets.rows" in loaded
    assert loaded.isdisjoint(
        {"csv", "json", "ast", "dataclasses", "packaging", "importlib.metadata", "difflib"}
    )


def test_every_row_that_applies_to_what_is_installed_resolves() -> None:
    found, problems = check_targets()
    assert problems == []
    assert [
        (label(one.target), one.reason, one.nearest) for one in found if one.status == MISSING
    ] == []
    if not any(one.version for one in found):
        pytest.skip("neither torch nor vllm is installed")
    assert len([one for one in found if one.status == OK]) > 30


def test_what_torch_npu_marks_itself_is_left_to_it_on_mstx_alone() -> None:
    from autoinstr.emitters.marked_by_others import MARKED_CALLS, find_marked_call

    theirs = "/site-packages/torch_npu/profiler/_add_mstx_patch.py"
    assert {one.target for one in MARKED_CALLS} <= {row.name for row in load_builtin_targets()}
    for target, message in (("data.fetch", "dataloader"), ("save", "save_checkpoint")):
        found = find_marked_call("mstx", target, theirs)
        assert found is not None and found.message == message
        assert (
            find_marked_call("mstx", target, "/home/me/train.py")
            is find_marked_call("recorder", target, theirs)
            is None
        )
    assert find_marked_call("mstx", "backward", theirs) is None
