"""The tables of requests and steps show what was recorded, and name each row apart."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis.labels import format_process_label
from autoinstr.analysis.runs import find_run, select_processes
from autoinstr.analysis.serving import build_request_entry, read_requests, read_steps
from autoinstr.report.data import stats_json
from autoinstr.report.options import TableOptions
from autoinstr.report.page.report import build_payload
from autoinstr.report.terminal import lists
from tests.support.annotated import Entry, mark, step_of, work_of, write

ENGINE = {"roles": ["EngineCore"]}
BOTH = {"roles": ["EngineCore", "Worker"]}


def table_of(folder: Path, kind: str = "requests", width: int = 200) -> list[str]:
    options = TableOptions(width, table=kind)
    formats = {"requests": lists.format_requests, "steps": lists.format_steps}
    return [str(line) for line in formats[kind](find_run(str(folder)), options)]


def front(request: str, at: int, **fields: Any) -> list[Entry]:
    return [
        mark(at, "request.arrived", request=request, prompt_tokens=7, **fields),
        mark(at + 30, "request.first_output", request=request),
        mark(at + 100, "request.completed", request=request, reason="length"),
    ]


def engine(request: str, at: int, *, output_tokens: int = 8, **fields: Any) -> list[Entry]:
    return [
        mark(at, "request.queued", request=request, prompt_tokens=7),
        mark(at + 5, "request.scheduled", request=request, cached_tokens=0, **fields),
        mark(at + 20, "request.first_token", request=request),
        mark(
            at + 90,
            "request.finished",
            request=request,
            reason="length",
            output_tokens=output_tokens,
            preemptions=0,
        ),
    ]


def late(request: str, at: int) -> list[Entry]:
    """A request whose beginning was not recorded."""
    return [mark(at, "request.finished", request=request, reason="length")]


def test_requests_seen_from_their_middle_have_no_arrival_and_no_rate(tmp_path: Path) -> None:
    whole = [*front("whole-1", 2_000, external="whole"), *engine("whole-1", 2_010)]
    write(str(tmp_path), [*late("early-1", 1_000), *late("early-2", 1_500), *whole], header=BOTH)
    lines = table_of(tmp_path)
    rows = {line.split()[0]: line for line in lines if line.split()[:1] and "length" in line}
    assert "+" not in rows["early-1"] and "+" not in rows["early-2"] and "+0 ns" in rows["whole"]
    (summary,) = [line for line in lines if line.startswith("requests:")]
    assert "/s" not in summary and "8 output tokens of 1 request" in summary
    assert "2 whose beginning was not recorded" in summary
    entry = build_payload(find_run(str(tmp_path)))["requests"]
    assert entry["tokens_per_s"] is None
    assert [at is None for at in entry["columns"]["arrived"]] == [True, True, False]
    early, _, last = read_requests(find_run(str(tmp_path)))
    assert (early.preemptions, last.preemptions) == (None, 0)


def test_without_the_front_end_the_column_is_of_the_queue(tmp_path: Path) -> None:
    entries = [*engine("a", 1_000), *engine("b", 1_400)]
    write(str(tmp_path), entries, header=ENGINE)
    heading, *rows = [line for line in table_of(tmp_path) if "length" in line or "queued" in line]
    assert "arrived" not in heading
    assert [("+0 ns" in row, "+400 ns" in row) for row in rows] == [(True, False), (False, True)]
    assert any("16 output tokens, " in line and "/s" in line for line in table_of(tmp_path))


def test_parts_of_one_request_and_reused_ids_have_names_of_their_own(tmp_path: Path) -> None:
    parts = [f"{number}_chat-12345678" for number in range(3)]
    at = 1_000
    entries: list[Entry] = []
    for request, external in (
        *((part, "chat") for part in parts),
        ("5_own-aaaaaaaa", "5_own"),
        ("mine-11111111", "mine"),
        ("mine-22222222", "mine"),
    ):
        entries += [*front(request, at, external=external), *engine(request, at + 1)]
        at += 1_000
    write(str(tmp_path), entries, header=BOTH)
    names = [request.name for request in read_requests(find_run(str(tmp_path)))]
    assert names == ["chat/0", "chat/1", "chat/2", "5_own", "mine-11111111", "mine-22222222"]
    (summary,) = [line for line in table_of(tmp_path) if line.startswith("requests:")]
    assert "6 finished (parts of 4 requests of clients: n > 1)" in summary


def test_where_only_the_engine_was_recorded_siblings_show_who_is_a_part(tmp_path: Path) -> None:
    entries = [
        entry
        for at, request in enumerate(("0_chat", "1_chat", "7_other", "again", "again"), 1)
        for entry in engine(request, 1_000 * at)
    ]
    write(str(tmp_path), entries, header=ENGINE)
    names = [request.name for request in read_requests(find_run(str(tmp_path)))]
    assert names == ["chat/0", "chat/1", "7_other", "again", "again#2"]


@pytest.mark.parametrize("program", ["pair", "eight"])
def test_ranks_that_run_the_same_work_count_once(tmp_path: Path, program: str) -> None:
    size, requests = (2, 2) if program == "pair" else (8, 1)
    for rank in range(size):
        entries = []
        for number in range(requests):
            request = f"{number}-{rank:08x}"  # vLLM appends a random part in each process
            at = 1_000 + 500 * number + rank
            entries += [*front(request, at, external=str(number)), *engine(request, at + 1)]
            entries += step_of(at + 1, f"{request}@0", "prefill", 1, 0)
            entries += work_of(at + 3, f"{request}@0", "prefill", slow=1 + (rank == 1))
        header = {**BOTH, "rank": rank, "world_size": size, "run": "one"}
        write(str(tmp_path), entries, pid=1 + rank, header=header)
    lines = table_of(tmp_path)
    assert f"{requests} finished" in lines[1] and f"{8 * requests} output tokens" in lines[1]
    ranks = ", ".join(map(str, range(size)))
    assert [f"ranks {ranks} of {size} each ran the engine" in line for line in lines].count(True)
    steps = read_steps(find_run(str(tmp_path)))
    assert [(step.process, step.execute_ns) for step in steps] == [(0, 80)] * requests


def test_data_parallel_ranks_and_other_requests_are_not_the_same_work(tmp_path: Path) -> None:
    for rank in range(2):
        header = {**BOTH, "rank": rank, "world_size": 2, "run": "one", "dp_rank": rank}
        request = f"0-{rank:08x}"
        entries = [*front(request, 1_000, external="0"), *engine(request, 1_001)]
        write(str(tmp_path / "parallel"), entries, pid=1 + rank, header=header)
        del header["dp_rank"]
        entries[0].fields["prompt_tokens"] = entries[3].fields["prompt_tokens"] = 7 + rank  # type: ignore[index]
        write(str(tmp_path / "other"), entries, pid=1 + rank, header=header)
    for folder in ("parallel", "other"):
        assert len(read_requests(find_run(str(tmp_path / folder)))) == 2
    assert not any("each ran" in line for line in table_of(tmp_path / "parallel"))


def test_ranks_of_a_training_job_that_number_their_requests_alike_stay_apart(
    tmp_path: Path,
) -> None:
    """Each rank has an engine of its own, and ids without a random part."""
    for rank in range(2):
        entries = [*front("0", 1_000 + rank), *engine("0", 5_000 - 3_000 * rank)]
        write(str(tmp_path), entries, pid=1 + rank, header={**BOTH, "rank": 0, "world_size": 1})
    found = read_requests(find_run(str(tmp_path)))
    assert sorted((row.process, row.arrived_ns and row.arrived_ns % 1_000) for row in found) == [
        (0, 0),
        (1, 1),
    ]
    heading, *_ = [line for line in table_of(tmp_path) if line.startswith("request ")]
    assert "engine" in heading


def test_a_step_without_its_schedule_has_no_duration_and_no_gap(tmp_path: Path) -> None:
    _, update = step_of(1_000, "r@0", "prefill", 1, 0)
    later = [*step_of(1_200, "r@3", "decode", 0, 1), *step_of(1_400, "r@4", "decode", 0, 1)]
    write(str(tmp_path), [update, *later], header=ENGINE)
    steps = read_steps(find_run(str(tmp_path)))
    assert [(step.step, step.duration_ns, step.update_ns, step.gap_ns) for step in steps] == [
        ("r@0", None, 10, None),
        ("r@3", 100, 10, 100),
        ("r@4", 100, 10, 100),
    ]
    lines = table_of(tmp_path, "steps")
    assert "3 steps, 1 of them without the beginning: no duration" in lines[0]
    cards = {card["kind"]: card for card in build_payload(find_run(str(tmp_path)))["cards"]}
    assert cards["decode"]["mean"] == 100 and cards["prefill"]["partly"] is True


def test_a_part_before_the_schedule_of_its_name_is_of_an_earlier_step(tmp_path: Path) -> None:
    """The request was preempted, and began again: both steps have one name."""
    _, update = step_of(1_000, "r@0", "prefill", 1, 0)
    again = step_of(9_000, "r@0", "prefill", 1, 0)
    write(str(tmp_path), [update, *again], header=ENGINE)
    assert [step.duration_ns for step in read_steps(find_run(str(tmp_path)))] == [None, 100]


def test_the_gap_over_a_time_without_ranges_is_unknown(tmp_path: Path) -> None:
    first = step_of(1_000, "r@0", "prefill", 1, 0)
    second, end = step_of(9_000, "s@0", "prefill", 1, 0)
    second = second._replace(fields={**(second.fields or {}), "unseen_before": True})
    write(str(tmp_path), [*first, second, end], header=ENGINE)
    assert [step.gap_ns for step in read_steps(find_run(str(tmp_path)))] == [None, None]


def test_columns_that_do_not_fit_are_named_and_zeros_go_first(tmp_path: Path) -> None:
    entries = [*front("r-00000001", 1_000, external="r"), *engine("r-00000001", 1_001)]
    entries[4].fields["cached_tokens"] = 5  # type: ignore[index]
    write(str(tmp_path), entries, header=BOTH)
    lines = table_of(tmp_path, width=88)
    (heading,) = [line for line in lines if line.startswith("request ")]
    (left_out,) = [line for line in lines if "left out" in line]
    assert "cached" in heading and "preempted" not in heading and "preempted" in left_out
    assert not any("left out" in line for line in table_of(tmp_path, width=200))
    narrow = table_of(tmp_path, width=60)
    (heading,) = [line for line in narrow if line.startswith("request ")]
    left_out = " ".join(narrow[next(at for at, line in enumerate(narrow) if "left out" in line) :])
    assert "cached" not in heading and "cached" in left_out


def test_requests_show_their_adapter_where_one_has_any(tmp_path: Path) -> None:
    entries = [*front("a", 1_000, adapter="sql"), *front("b", 2_000)]
    write(str(tmp_path), entries, header=ENGINE)
    first, second = map(build_request_entry, read_requests(find_run(str(tmp_path))))
    assert first["adapter"] == "sql" and "adapter" not in second
    (heading,) = [line for line in table_of(tmp_path) if line.startswith("request ")]
    assert "adapter" in heading
    assert build_payload(find_run(str(tmp_path)))["requests"]["columns"]["adapter"] == ["sql", None]


def test_processes_that_do_the_same_job_are_told_apart(tmp_path: Path) -> None:
    headers: list[dict[str, Any]] = [
        {"roles": ["EngineCore"], "process": "EngineCore_DP0", "dp_rank": 0, "dp_size": 2},
        {"roles": ["EngineCore"], "process": "EngineCore_DP1", "dp_rank": 0, "dp_size": 1},
        {"roles": ["Worker"], "rank": 0, "world_size": 1, "dp_rank": 1, "dp_size": 2},
        {"roles": ["APIServer"], "process": "ApiServer_3"},
        {"roles": ["MainProcess"], "rank": 0, "world_size": 2, "restart": 2},
        {"roles": ["MainProcess"], "fork": 4, "ppid": 71},
        {"roles": ["MainProcess"], "process": "MainProcess"},
    ]
    for pid, header in enumerate(headers, 1):
        write(str(tmp_path), [Entry(5, 6, "x", None)], pid=pid, header=header)
    run = find_run(str(tmp_path))
    labels = {recording.pid: format_process_label(recording) for recording in run.recordings}
    assert [labels[pid] for pid in sorted(labels)] == [
        "EngineCore, DP 0 of 2",
        "EngineCore, DP 1",
        "Worker rank 0 of 1, DP 1 of 2",
        "APIServer 3",
        "MainProcess rank 0 of 2, restart 2",
        "MainProcess, fork 4 of pid 71",
        "MainProcess",
    ]
    assert {one.pid for one in select_processes(run, "DP 1").recordings} == {2, 3}
    stream = StringIO()
    stats_json.write(run, stream)
    entries = {entry["pid"]: entry for entry in json.loads(stream.getvalue())["processes"]}
    assert entries[5]["restart"] == 2 and entries[6]["fork"] == 4 and "fork" not in entries[7]


def test_a_generators_forward_is_named_in_every_report(tmp_path: Path) -> None:
    header = {"lazy_classes": {"Stream": "generator"}}
    write(
        str(tmp_path),
        [Entry(5, 6, "s", None, domain="Module", path="s", cls="Stream")],
        header=header,
    )
    line = "Stream.forward makes a generator: its time is that of the making, not of the iteration"
    run = find_run(str(tmp_path))
    stream = StringIO()
    stats_json.write(run, stream)
    assert line in json.loads(stream.getvalue())["problems"]
    assert any(line in str(notice) for notice in build_payload(run)["notes"])
