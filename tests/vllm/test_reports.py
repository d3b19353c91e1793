"""The request and the step table of a real run: what the script itself knows, and what the
recordings hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.support import pages, recorded
from tests.support.trace_processor import loaded
from tests.vllm.conftest import Pair
from tests.vllm.engines import map_roles

TOKENS = 32


def reported(out: object, *options: str) -> str:
    command = [sys.executable, "-m", "autoinstr", "report", str(out), *options, "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(eager: Pair) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(reported(eager.agent.place.out, "--format", "json"))
    return loaded


def test_each_prompt_is_a_request_whose_times_are_in_order(report: dict[str, Any]) -> None:
    assert [(row["external"] or row["id"]).partition("-")[0] for row in report["requests"]] == [
        "0",
        "1",
        "2",
        "3",
    ]
    for row in report["requests"]:
        assert (row["state"], row["reason"], row["output_tokens"], row["preemptions"]) == (
            "finished",
            "length",
            TOKENS,
            0,
        )
        order = ("arrived", "queued", "first_scheduled", "first_token", "first_output", "completed")
        times = [row[f"{name}_ns"] for name in order]
        assert times == sorted(times)
        assert row["first_token_ns"] < row["finished_ns"]
        assert row["prompt_tokens"] > 0
        assert row["engine_ttft_ns"] <= row["ttft_ns"] < row["e2e_ns"]
        assert 0 < row["tpot_ns"] * (TOKENS - 1) <= row["engine_e2e_ns"]


def test_the_steps_hold_every_token_and_have_all_their_parts(report: dict[str, Any]) -> None:
    steps = [row for row in report["steps"] if row["phase"] != "idle"]
    prompts = sum(row["prompt_tokens"] - row["cached_tokens"] for row in report["requests"])
    # The first token of a request comes from the step with the end of its prompt, each other from a
    # step that has it as input.
    assert sum(row["tokens"] for row in steps) == prompts + 4 * (TOKENS - 1)
    assert sum(row["decodes"] for row in steps) == 4 * (TOKENS - 1)
    assert [row["start_ns"] for row in steps] == sorted(row["start_ns"] for row in steps)
    for row in steps:
        assert row["requests"] == row["prefills"] + row["decodes"] == len(row["request_ids"])
        assert min(row[f"{part}_ns"] for part in ("schedule", "execute", "sample", "update")) > 0
        assert (
            row["schedule_ns"] + row["execute_ns"] + row["sample_ns"] + row["update_ns"]
            < row["duration_ns"]
        )
        assert 0 < row["kv_usage"] < 1
    assert set().union(*(row["request_ids"] for row in steps)) == {
        row["id"] for row in report["requests"]
    }


def test_phases_split_the_rows_of_the_worker_as_its_steps_were(
    eager: Pair, report: dict[str, Any]
) -> None:
    steps = Counter(row["phase"] for row in report["steps"] if row["phase"] != "idle")
    roots = {
        row["phase"]: row["calls"]
        for row in report["rows"]
        if row["domain"] == "Module" and row["path"] == ""
    }
    assert {phase: roots.get(phase) for phase in steps} == steps
    worker = map_roles(eager.agent.place.out)["Worker"]
    truth: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for one in recorded.ranges(worker):
        truth[one.root, one.path][0] += 1
        truth[one.root, one.path][1] += one.end - one.start
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in report["rows"]:
        if row["domain"] == "Module":
            found[row["root"], row["path"]][0] += row["calls"]
            found[row["root"], row["path"]][1] += row["total_ns"]
    assert found == truth


def test_the_tables_have_a_line_for_each(eager: Pair, report: dict[str, Any]) -> None:
    lines = reported(eager.agent.place.out).splitlines()
    assert lines[1].startswith("requests: 4 finished; TTFT p50 ")
    assert any(line.startswith("steps: prefill ") for line in lines)
    # One screen, modules first, and what a call takes in each phase.
    assert len(lines) <= 52
    heading = next(line for line in lines if re.match(r"(module|vllm|torch) ", line)).split()
    assert heading[0] == "module" and {"prefill", "decode"} <= {*heading}
    assert lines[-1].startswith("next: autoinstr ")
    for table in ("requests", "steps"):
        csv = reported(eager.agent.place.out, "--table", table, "--format", "csv").splitlines()
        assert len(csv) == 1 + len(report[table])


@pytest.mark.parametrize("kind", ["pftrace", "chrome"])
def test_a_timeline_joins_requests_steps_and_the_worker(
    eager: Pair, report: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "trace"
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "report",
        str(eager.agent.place.out),
        "--format",
        kind,
        "-o",
        str(file),
    ]
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == 0
    steps = [row for row in report["steps"] if row["step"] is not None]
    with loaded(file.read_bytes()) as trace:
        assert trace.complaints() == []
        joined = trace.query(
            "select a.name as origin, b.name as target, a.ts < b.ts as later "
            "from flow join slice a on a.id = slice_out join slice b on b.id = slice_in"
        )
        points = trace.query(
            "select t.name, c.value from counter c "
            "join counter_track t on t.id = c.track_id order by c.ts"
        )
        phases = dict(
            trace.query(
                "select name, count(*) as found from slice "
                "where name in ('queue', 'prefill', 'decode') group by 1"
            )
        )
    ids = {row["external"] or row["id"] for row in report["requests"]}
    found = Counter(
        ("request" if origin in ids else origin, target) for origin, target, _ in joined
    )
    assert found == {
        ("request", "sched.schedule"): 4,
        ("sched.schedule", "request.first_token"): 4,
        ("request.first_token", "request.first_output"): 4,
        ("sched.schedule", "worker.execute_model"): len(steps),
        ("worker.execute_model", "sched.update_from_output"): len(steps),
    }
    assert all(later for _, _, later in joined)
    counters: dict[str, list[float]] = defaultdict(list)
    for name, value in points:
        counters[name.removesuffix(" value")].append(value)
    fields = {
        "batch size": "requests",
        "tokens in step": "tokens",
        "running requests": "running",
        "waiting requests": "waiting",
    }
    for name, field in {**fields, "KV cache usage (%)": "kv_usage"}.items():
        levels = [row[field] * (100 if field == "kv_usage" else 1) for row in report["steps"]]
        assert counters.pop(name) == pytest.approx([level for level, _ in groupby(levels)])
    assert not counters
    assert phases == {"queue": 4, "prefill": 4, "decode": 4}


def test_the_page_holds_what_the_json_report_says(
    eager: Pair, report: dict[str, Any], tmp_path: Path
) -> None:
    pages.page_of(eager.agent.place.out, tmp_path / "report.html")
    data = pages.data_of(tmp_path / "report.html")
    steps = data["steps"]
    assert [steps["kinds"][kind] for kind in steps["kind"]] == [
        row["phase"] for row in report["steps"]
    ]
    whole = [at for at, row in enumerate(report["steps"]) if row["duration_ns"] is not None]
    assert [steps["duration"][at] for at in whole] == [
        report["steps"][at]["duration_ns"] for at in whole
    ]
    assert len(whole) > 30 and steps["partly"] == [
        at for at in range(len(steps["duration"])) if at not in whole
    ]
    assert data["requests"]["columns"]["e2e"] == [row["e2e_ns"] for row in report["requests"]]
    (tree,) = [tree for group in data["groups"] for tree in group["domains"] if tree["modules"]]
    phases = [one["phase"] for one in tree["figures"] if not one["all"]]
    assert {"prefill", "decode"} <= set(phases)
    for figures in tree["figures"]:
        rows = [
            row
            for row in report["rows"]
            if row["domain"] == "Module" and (figures["all"] or row["phase"] == figures["phase"])
        ]
        assert sum(figures["self"]) == sum(row["self_ns"] for row in rows)
        assert sum(figures["calls"]) == sum(row["calls"] for row in rows)
    # Each step's excerpt has the model's outermost call, whose sampling and scheduling run in other
    # processes.
    for item in data["excerpts"]["items"]:
        if steps["kinds"][steps["kind"][item["step"]]] == "idle":
            continue
        titles = {
            data["excerpts"]["names"][number][0]
            for lane in item["lanes"]
            for number in lane["name"]
        }
        assert {"Qwen2ForCausalLM", "sched.schedule", "worker.execute_model"} <= titles
    assert all(entry["options"] is not None for entry in data["instrumented"])
    (worker,) = [
        entry
        for entry in data["instrumented"]
        if any("Worker" in data["processes"][at]["label"] for at in entry["processes"])
    ]
    statuses = {name: status for name, status, _ in worker["targets"]}
    assert statuses["worker.execute_model"] == "called"
