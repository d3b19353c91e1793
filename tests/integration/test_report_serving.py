"""Phases, requests and steps on the command line, on recordings of the real writer."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_report_cli import errors, report
from tests.support.annotated import Entry, mark, step_of, work_of, write

MS = 1_000_000


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Write the recordings of an APIServer, an EngineCore and a Worker: four requests in six steps,
    one of them aborted, one still running."""
    steps = [
        ("a@0", "prefill", 1, 0),
        ("a@7", "mixed", 2, 1),
        *((f"a@{8 + n}", "decode", 0, 3) for n in range(3)),
        (None, "idle", 0, 0),
    ]
    engine: list[Entry] = []
    worker: list[Entry] = []
    for at, (step, phase, prefills, decodes) in enumerate(steps):
        start = (10 + 12 * at) * MS
        engine += step_of(start, step, phase, prefills, decodes, slow=100_000)
        if step:
            worker += work_of(start + MS, step, phase, slow=100_000)
            worker.append(
                Entry(
                    start + MS + 5,
                    start + 3 * MS,
                    "",
                    None,
                    0,
                    "Module",
                    "range",
                    "layers.0",
                    "Layer",
                )
            )
    front = []
    for number, request in enumerate("abcd"):
        at = (3 + number) * MS
        front.append(
            mark(
                at,
                "request.arrived",
                request=request,
                prompt_tokens=7,
                **({"external": "client-7"} if request == "a" else {}),
            )
        )
        engine.append(mark(at + MS, "request.queued", request=request, prompt_tokens=7))
        if request != "d":
            engine.append(
                mark(
                    (12 + number) * MS,
                    "request.scheduled",
                    request=request,
                    step="a@0",
                    cached_tokens=0,
                )
            )
            engine.append(mark((20 + number) * MS, "request.first_token", request=request))
            front.append(mark((21 + number) * MS, "request.first_output", request=request))
        if request in "ac":
            reason = "abort" if request == "c" else "length"
            engine.append(
                mark(
                    64 * MS,
                    "request.finished",
                    request=request,
                    reason=reason,
                    output_tokens=5,
                    preemptions=0,
                )
            )
            front.append(mark(65 * MS, "request.completed", request=request, reason=reason))
    folder = tmp_path / "run"
    write(str(folder), front, pid=1, header={"roles": ["APIServer"]})
    write(str(folder), engine, pid=2, header={"roles": ["EngineCore"]})
    write(str(folder), worker, pid=3, header={"roles": ["Worker"], "rank": 0, "world_size": 1})
    return folder


def text(*args: object, width: int = 160) -> list[str]:
    done = report(*args, env={"COLUMNS": str(width)})
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


def words(line: str) -> str:
    return " ".join(line.split())


def loaded(*args: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report(*args, "--format", "json").stdout)
    return found


def test_the_default_table_sums_up_requests_and_steps_and_says_the_phases_of_each_process(
    served: Path,
) -> None:
    lines = text(served)
    assert lines[1] == (
        "requests: 1 finished, 1 aborted, 2 unfinished; TTFT p50 18.00 ms, p99 18.00 ms; TPOT p50 "
        "10.50 ms, p99 11.00 ms; "
        "10 output tokens, 161.3/s"
    )
    assert lines[2] == (
        "steps: prefill 1, mean 10.00 ms, batch 1.0; mixed 1, mean 10.00 ms, batch 3.0; decode 3, "
        "mean 10.00 ms, batch 3.0; "
        "idle 1, mean 10.00 ms"
    )
    head = next(at for at, line in enumerate(lines) if line.startswith("Worker"))
    assert (
        lines[head + 1]
        == "by phase: decode 13.50 ms; prefill 4.500 ms; mixed 4.500 ms; below: mean of a call"
    )
    table = [words(line) for line in lines[head + 2 : head + 6]]
    assert (
        table[0]
        == "module class total share calls mean self p50 first call prefill % mixed % decode %"
    )
    assert (
        table[2] == "layers.0 Layer 10.00 ms 44.4% 5 2.000 ms 10.00 ms 2.000 ms 2.000 ms "
        "2.000 ms 44 2.000 ms 44 2.000 ms 44"
    )


@pytest.mark.parametrize(
    ("width", "heading"),
    [
        (97, "module class total share calls self prefill % mixed % decode %"),
        (87, "module class total share calls self prefill mixed decode"),
        (78, "module total share calls self prefill mixed decode"),
        (71, "module total share self prefill mixed decode"),
        (64, "module total share prefill mixed decode"),
        (54, "module total share mixed decode"),
    ],
)
def test_a_narrow_terminal_keeps_what_each_phase_costs_as_long_as_it_can(
    served: Path, width: int, heading: str
) -> None:
    found = [line for line in text(served, width=width) if line.startswith("module")]
    assert [words(line) for line in found] == [heading]


def test_rows_of_the_json_report_are_split_by_phase_and_add_up(served: Path) -> None:
    whole = loaded(served)
    layers = {row["phase"]: row["calls"] for row in whole["rows"] if row["path"] == "layers.0"}
    assert layers == {"prefill": 1, "mixed": 1, "decode": 3}
    split: list[dict[str, Any]] = []
    for phase in ("prefill", "mixed", "decode", "idle", "none"):
        rows = loaded(served, "--phase", phase)["rows"]
        assert all((row["phase"] or "none") == phase for row in rows)
        split += rows
    assert sorted(split, key=json.dumps) == sorted(whole["rows"], key=json.dumps)
    assert (len(whole["requests"]), len(whole["steps"])) == (4, 6)
    assert [row["external"] for row in whole["requests"]] == ["client-7", None, None, None]
    assert [row["phase"] for row in whole["steps"]] == [
        "prefill",
        "mixed",
        "decode",
        "decode",
        "decode",
        "idle",
    ]
    assert [row["execute_ns"] for row in whole["steps"]] == [4 * MS] * 5 + [None]


def test_the_table_of_one_phase(served: Path) -> None:
    lines = text(served, "--phase", "decode")
    assert lines[0].endswith(
        "3 processes, 21 ranges of phase decode, 0 dropped, estimated overhead 0.6%"
    )
    layer = next(line for line in lines if line.strip().startswith("layers.0"))
    assert words(layer.rstrip("█ ")).endswith("3 2.000 ms 6.000 ms 2.000 ms 2.000 ms")
    assert any(line.startswith("nothing in this phase: APIServer, pid 1") for line in lines)
    nothing = text(served, "--process", "APIServer", "--phase", "decode")
    assert nothing[2].startswith("no range has the phase 'decode'; this run has: "), nothing


def test_the_request_table(served: Path) -> None:
    lines = text(served, "--table", "requests")
    assert lines[0] == f"{served}: 4 requests"
    head = next(at for at, line in enumerate(lines) if line.startswith("request "))
    assert (
        words(lines[head])
        == "request arrived queue TTFT TPOT end to end prompt output cached preempted end"
    )
    assert [line.split()[0] for line in lines[head + 1 :]] == ["client-7", "b", "c", "d"]
    assert (
        words(lines[head + 1])
        == "client-7 +0 ns 8.000 ms 18.00 ms 11.00 ms 62.00 ms 7 5 0 0 length"
    )
    assert lines[head + 3].split()[-1] == "abort"
    assert words(lines[head + 4]) == "d +3.000 ms 7 0 unfinished"
    by_queue = text(served, "--table", "requests", "--sort", "ttft", "--limit", "1")
    assert by_queue[-1] == "… 3 more lines (--limit 0 shows all, --sort puts the largest first)"


def test_the_request_table_of_the_engine_alone_says_so(served: Path) -> None:
    lines = text(served, "--table", "requests", "--process", "EngineCore")
    assert "TTFT p50 16.00 ms, p99 16.00 ms in the engine" in lines[1]
    assert any("engine TTFT" in line and "in engine" in line for line in lines)


def test_the_steps_of_a_worker_alone_have_its_times(served: Path) -> None:
    lines = text(served, "--process", "Worker")
    assert lines[1] == (
        "steps: prefill 1, mean execute 4.000 ms; mixed 1, mean execute 4.000 ms; decode 3, "
        "mean execute 4.000 ms"
    )


def test_the_step_table_and_its_orders(served: Path) -> None:
    lines = text(served, "--table", "steps")
    assert lines[0] == f"{served}: 6 steps"
    assert words(lines[2]) == "phase steps mean p50 p99 batch tokens schedule execute sample update"
    assert (
        words(lines[3])
        == "prefill 1 10.00 ms 10.00 ms 10.00 ms 1.0 3.0 1.000 ms 4.000 ms 500.0 µs 1.000 ms"
    )
    head = next(at for at, line in enumerate(lines) if line.startswith("step "))
    assert [line.split()[1] for line in lines[head + 1 :]] == [
        "prefill",
        "mixed",
        "decode",
        "decode",
        "decode",
        "idle",
    ]
    assert lines[head + 2].split()[-2:] == ["2.000", "ms"]  # the gap
    only = text(served, "--table", "steps", "--phase", "decode", "--limit", "2")
    assert only[0] == f"{served}: 3 steps of phase decode"
    none = text(served, "--table", "steps", "--phase", "none")
    assert none[0] == "no step has the phase 'none'; this run has: prefill, mixed, decode, idle"


def test_a_phase_of_ones_own_is_one_and_a_misspelt_one_is_not(served: Path) -> None:
    write(
        str(served),
        [Entry(MS, 2 * MS, "warm", {"phase": "warm up"}), mark(MS, "m", phase=7)],
        pid=4,
    )
    assert text(served, "--phase", "warm up")[0].startswith(
        f"{served}: 4 processes, 1 range of phase warm up, "
    )
    for kind in (
        ["--format", "json"],
        ["--format", "csv"],
        ["--table", "steps"],
        ["--process", "APIServer"],
    ):
        done = report(served, "--phase", "warmup", *kind)
        assert done.returncode == 2
        assert (
            "--phase 'warmup': neither vLLM nor this recording has such a phase; did you mean "
            "'warm up'?" in errors(done)
        )


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("table", ["requests", "steps"])
def test_the_tables_fit_the_terminal(served: Path, table: str, width: int) -> None:
    lines = text(served, "--table", table, width=width)
    head = next(at for at, line in enumerate(lines) if line.startswith(("request ", "step ")))
    assert max(map(len, lines[head:])) <= width


def test_csv_has_every_row_and_every_column_in_nanoseconds(served: Path) -> None:
    whole = loaded(served)
    for table in ("requests", "steps"):
        done = report(served, "--table", table, "--format", "csv")
        assert (done.returncode, done.stderr) == (0, b"")
        lines = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
        assert [list(line) for line in lines] == [list(row) for row in whole[table]]
        shown = [
            {**row, **({"request_ids": " ".join(row["request_ids"])} if table == "steps" else {})}
            for row in whole[table]
        ]
        assert lines == [
            {key: "" if value is None else str(value) for key, value in row.items()}
            for row in shown
        ]
    assert (
        report(served, "--table", "requests", "--format", "csv", "--limit", "2").stdout.count(
            b"\r\n"
        )
        == 3
    )


def test_a_run_without_requests_says_so(tmp_path: Path) -> None:
    write(str(tmp_path), [Entry(1, 5, "", None, 0, "Module", "range", "a", "A")])
    assert text(tmp_path, "--table", "requests")[0].startswith("no requests: ")
    assert text(tmp_path, "--table", "steps")[0].startswith("no steps: ")
    assert not [
        line for line in text(tmp_path) if line.startswith(("requests", "steps", "by phase"))
    ]
    empty = report(tmp_path, "--table", "requests", "--format", "csv")
    assert empty.returncode == 0
    assert empty.stdout.startswith(b"id,external,") and empty.stdout.count(b"\r\n") == 1
    assert b"no requests" in empty.stderr
    assert (loaded(tmp_path)["requests"], loaded(tmp_path)["steps"]) == ([], [])


def test_damage_is_said_beside_the_rows(served: Path) -> None:
    (served / "host-9-00000000.airec").write_bytes(b"rubbish" * 1000)
    assert any(
        line.startswith("! ") and "host-9-00000000.airec" in line
        for line in text(served, "--table", "steps")
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--table", "request"], "did you mean 'requests'?"),
        (["--table", "requests", "--format", "json"], "json has every module, request and step"),
        (["--table", "steps", "--format", "pftrace"], "is for the formats table and csv"),
        (["--table", "requests", "--phase", "decode"], "a request runs through several phases"),
        (["--phase", "decode", "--format", "chrome"], "a timeline has every range"),
        (["--sort", "ttft"], "is no order of modules; there are: tree, total, self, calls, mean"),
        (["--table", "requests", "--sort", "self"], "there are: arrival, queue, ttft, tpot, e2e"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(served: Path, args: list[str], said: str) -> None:
    done = report(served, *args)
    assert done.returncode == 2
    assert said in errors(done)
