"""The step table: one row for each engine step, joined by its name across processes."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.runs import find_run
from autoinstr.analysis.serving import STEP_COLUMNS, build_step_entry, read_steps
from autoinstr.targets.rows import load_builtin_targets
from autoinstr.targets.step_parts import PART_KINDS
from tests.support.annotated import Entry, step_of, work_of, write
from tests.support.examples import scale_examples

ENGINE = {"roles": ["EngineCore"]}
WALL = 1_795_389_621_000_000_000


def worker(rank: int) -> dict[str, Any]:
    return {"roles": ["Worker"], "rank": rank, "world_size": 2}


def rows(directory: Path) -> list[dict[str, Any]]:
    return [build_step_entry(row) for row in read_steps(find_run(str(directory)))]


def test_scheduler_and_ranks_give_one_row_with_every_column(tmp_path: Path) -> None:
    write(
        str(tmp_path),
        [*step_of(1_000, "r@0", "prefill", 1, 0), *step_of(1_150, "r@3", "decode", 0, 2)],
        header=ENGINE,
    )
    write(
        str(tmp_path),
        [*work_of(1_020, "r@0", "prefill"), *work_of(1_170, "r@3", "decode")],
        pid=2,
        header=worker(0),
    )
    write(str(tmp_path), work_of(1_015, "r@0", "prefill", slow=2), pid=3, header=worker(1))
    first, second = rows(tmp_path)
    assert tuple(first) == STEP_COLUMNS
    assert first == {
        "index": 0,
        "process": 0,
        "step": "r@0",
        "phase": "prefill",
        "start_ns": WALL,
        "duration_ns": 100,
        "requests": 1,
        "prefills": 1,
        "decodes": 0,
        "tokens": 3,
        "running": 1,
        "waiting": 1,
        "kv_usage": 0.25,
        "schedule_ns": 10,
        "execute_ns": 80,  # the slower rank's, with what surrounds its runner
        "sample_ns": 10,
        "update_ns": 10,
        "gap_ns": None,
        "request_ids": ["r"],
    }
    assert [second[key] for key in ("index", "phase", "requests", "execute_ns", "gap_ns")] == [
        1,
        "decode",
        2,
        40,
        50,
    ]


def test_steps_that_overlap_are_joined_by_name(tmp_path: Path) -> None:
    first, second = step_of(1_000, "r@0", "prefill", 1, 0), step_of(1_020, "r@3", "decode", 0, 1)
    write(str(tmp_path), [*first, *second], header=ENGINE)
    write(
        str(tmp_path),
        [*work_of(1_030, "r@0", "prefill"), *work_of(1_130, "r@3", "decode", slow=2)],
        pid=2,
        header=worker(0),
    )
    assert [
        (row["step"], row["duration_ns"], row["execute_ns"], row["gap_ns"])
        for row in rows(tmp_path)
    ] == [
        ("r@0", 100, 40, None),
        ("r@3", 100, 80, 0),
    ]


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_name_that_comes_twice_is_two_steps(tmp_path: Path, hosts: int) -> None:
    far = 1_000_000_000
    twice = [*step_of(1_000, "r@0", "prefill", 1, 0), *step_of(far, "r@0", "mixed", 1, 1)]
    write(str(tmp_path), twice, header=ENGINE)
    done = [*work_of(1_020, "r@0", "prefill"), *work_of(far + 20, "r@0", "mixed", slow=2)]
    there = {**worker(0), **({"host": "there", "boot": "another"} if hosts == 2 else {})}
    write(str(tmp_path), done, pid=2, header=there, clock=(WALL + 400_000 * (hosts - 1), 1_000))
    assert [(row["phase"], row["execute_ns"], row["update_ns"]) for row in rows(tmp_path)] == [
        ("prefill", 40, 10),
        ("mixed", 80, 10),
    ]


def test_steps_without_tokens_are_rows_and_stay_in_their_process(tmp_path: Path) -> None:
    write(
        str(tmp_path),
        [*step_of(1_000, None, "idle", 0, 0), *step_of(1_200, None, "idle", 0, 0, slow=2)],
        header=ENGINE,
    )
    write(str(tmp_path), step_of(1_050, None, "idle", 0, 0, slow=3), pid=2, header=ENGINE)
    assert [
        (row["process"], row["step"], row["requests"], row["duration_ns"]) for row in rows(tmp_path)
    ] == [
        (0, None, 0, 100),
        (1, None, 0, 300),
        (0, None, 0, 200),
    ]


def test_thousands_of_steps_without_a_name_find_their_ends(tmp_path: Path) -> None:
    write(
        str(tmp_path),
        [one for at in range(3_000) for one in step_of(1_000 * at + 1_000, None, "idle", 0, 0)],
        header=ENGINE,
    )
    assert {row["duration_ns"] for row in rows(tmp_path)} == {100}


def test_a_scheduler_that_calls_the_one_it_is_made_from_makes_one_step(tmp_path: Path) -> None:
    schedule, update = step_of(1_000, "r@0", "prefill", 1, 0)
    inner = schedule._replace(start=1_002, end=1_008)
    outer = Entry(999, 1_012, "npu.sched.balance", schedule.fields)
    write(str(tmp_path), [outer, schedule, inner, update], header=ENGINE)
    assert [
        (row["start_ns"] - WALL, row["schedule_ns"], row["duration_ns"]) for row in rows(tmp_path)
    ] == [(-1, 13, 101)]


def test_a_step_without_its_scheduler_has_what_its_parts_say(tmp_path: Path) -> None:
    for rank in (0, 1):
        work = [
            *work_of(1_000 + rank, "r@0", "prefill"),
            *work_of(9_000, "r@0", "mixed"),
            *work_of(9_500, "s@3", "decode"),
        ]
        write(str(tmp_path), work, pid=rank + 1, header=worker(rank))
    found = rows(tmp_path)
    assert [
        (row["step"], row["phase"], row["start_ns"] - WALL, row["execute_ns"]) for row in found
    ] == [
        ("r@0", "prefill", 0, 40),
        ("r@0", "mixed", 8_000, 40),
        ("s@3", "decode", 8_500, 40),
    ]
    assert {
        (row["duration_ns"], row["requests"], row["tokens"], row["schedule_ns"]) for row in found
    } == {(None, None, None, None)}


def test_an_open_and_an_overwritten_schedule_have_no_duration_of_their_own(tmp_path: Path) -> None:
    schedule, update = step_of(1_000, "r@0", "prefill", 1, 0)
    killed = step_of(2_000, "r@3", "decode", 0, 1)[0]._replace(end=None)
    write(str(tmp_path), [schedule._replace(end=None), update, killed], header=ENGINE, close=False)
    assert [(row["schedule_ns"], row["duration_ns"]) for row in rows(tmp_path)] == [
        (None, 100),
        (None, None),
    ]


def test_a_ring_that_lost_the_ranges_keeps_what_the_attributes_say(tmp_path: Path) -> None:
    steps = [*step_of(1_000, "r@0", "prefill", 1, 0), *step_of(90_000_000, "r@3", "decode", 0, 1)]
    filling = [Entry(2_000 + 1_000 * at, 2_900 + 1_000 * at, "busy") for at in range(60_000)]
    file = write(
        str(tmp_path),
        [*steps, *filling],
        header=ENGINE,
        full="ring",
        max_bytes=1 << 20,
        annotate_first=True,
    )
    assert Path(file).stat().st_size <= 1 << 20
    (recording,) = find_run(str(tmp_path)).recordings
    first, second = rows(tmp_path)
    assert recording.dropped_count
    assert (first["phase"], first["start_ns"], first["schedule_ns"], first["duration_ns"]) == (
        "prefill",
        WALL,
        None,
        None,
    )
    assert (second["phase"], second["schedule_ns"], second["duration_ns"], second["gap_ns"]) == (
        "decode",
        10,
        100,
        None,
    )


def test_a_gap_is_known_only_where_the_end_before_it_is(tmp_path: Path) -> None:
    steps = [one for at in range(4) for one in step_of(1_000 + 200 * at, f"r@{at}", "decode", 0, 1)]
    killed = [one for one in steps if one.start != 1_290]  # the second step's end
    write(str(tmp_path), killed, header=ENGINE)
    assert [(row["duration_ns"], row["gap_ns"]) for row in rows(tmp_path)] == [
        (100, None),
        (None, 100),
        (100, None),
        (100, 100),
    ]


def test_a_part_waits_for_its_scheduler_whichever_recording_is_read_first(tmp_path: Path) -> None:
    far = 1_000_000
    engine = [*step_of(1_000, "r@0", "prefill", 1, 0), *step_of(far, "r@0", "mixed", 1, 1)]
    write(str(tmp_path), engine, header=ENGINE)
    write(
        str(tmp_path), work_of(far + 20, "r@0", "mixed"), pid=2, header=worker(0)
    )  # the first was not recorded there
    run = find_run(str(tmp_path))
    for recordings in (run.recordings, run.recordings[::-1]):
        assert [
            build_step_entry(row)["execute_ns"]
            for row in read_steps(run._replace(recordings=recordings))
        ] == [None, 40]


def test_odd_fields_cost_themselves_only(tmp_path: Path) -> None:
    schedule, update = step_of(1_000, "r@0", "prefill", 1, 0)
    odd = {
        **(schedule.fields or {}),
        "tokens": "3",
        "kv_usage": float("nan"),
        "requests": {"r": 1},
        "phase": 5,
    }
    write(str(tmp_path), [schedule._replace(fields=odd), update], header=ENGINE)
    (row,) = rows(tmp_path)
    assert (row["tokens"], row["kv_usage"], row["request_ids"], row["phase"]) == (
        None,
        None,
        [],
        "prefill",
    )  # the update's phase
    assert (row["requests"], row["duration_ns"]) == (1, 100)


def test_any_order_of_recordings_gives_the_same_rows(tmp_path: Path) -> None:
    shuffled = random.Random(3)
    names = [f"{'abc'[at % 3]}@{at // 7}" for at in range(60)]
    engine = [
        one
        for at, name in enumerate(names)
        for one in step_of(1_000 + 90 * at, name, "decode", 0, 1)
    ]
    write(str(tmp_path / "a"), engine, header=ENGINE)
    for rank in (0, 1):
        work = [
            one
            for at, name in enumerate(names)
            for one in work_of(1_011 + 90 * at, name, "decode", slow=1 + at % 2)
        ]
        shuffled.shuffle(work)
        write(str(tmp_path / "a"), work, pid=2 + rank, header=worker(rank))
    run = find_run(str(tmp_path / "a"))
    expected = [build_step_entry(row) for row in read_steps(run)]
    assert [row["step"] for row in expected] == names
    assert [row["execute_ns"] for row in expected] == [40 * (1 + at % 2) for at in range(60)]
    backwards = [
        build_step_entry(row) for row in read_steps(run._replace(recordings=run.recordings[::-1]))
    ]
    assert [{**row, "process": 0} for row in backwards] == expected


def test_every_target_that_schedules_or_executes_is_a_part() -> None:
    kinds = {
        "schedule": "schedule",
        "update_from_output": "update",
        "execute_model": "execute",
        "sample_tokens": "sample",
    }
    rows = {
        row.name: kinds[row.qualname.rpartition(".")[2]]
        for row in load_builtin_targets()
        if row.qualname.rpartition(".")[2] in kinds
        and row.name.removeprefix("npu.").partition(".")[0] not in ("exec", "engine")
    }
    assert len(rows) > 15
    assert {name: PART_KINDS.get(name) for name in rows} == rows


def slow_rows(engine: list[Entry], workers: list[list[Entry]]) -> list[dict[str, Any]]:
    """Compute the columns of docs/reference/json.md step by step, and search all entries for each
    part."""
    scheduled = [one for one in engine if one.message == "sched.schedule"]
    found = []
    for at, mine in enumerate(scheduled):
        step = (mine.fields or {}).get("step")

        def belongs(part: Entry, at: int = at, step: str | None = step) -> bool:
            same = [
                n
                for n, one in enumerate(scheduled)
                if (one.fields or {}).get("step") == step and one.start <= part.start
            ]
            return (part.fields or {}).get("step") == step and same[-1:] == [at]

        def longest(message: str, entries: list[Entry]) -> int | None:
            return max(
                (
                    one.end - one.start
                    for one in entries
                    if one.message.endswith(message) and one.end and belongs(one)
                ),
                default=None,
            )

        ends = [
            one.end
            for one in engine
            if one.message == "sched.update_from_output" and one.end and belongs(one)
        ]
        every = [one for rank in workers for one in rank] if step else []
        row: dict[str, Any] = {
            "start_ns": mine.start,
            "step": step,
            "duration_ns": max(ends) - mine.start if ends else None,
            "schedule_ns": mine.end - mine.start if mine.end else None,
            "execute_ns": longest(".execute_model", every),
            "sample_ns": longest(".sample_tokens", every),
            "update_ns": longest("sched.update_from_output", engine),
            "gap_ns": None,
        }
        if found and found[-1]["duration_ns"] is not None:
            over = max(
                one["start_ns"] + one["duration_ns"]
                for one in found
                if one["duration_ns"] is not None
            )
            row["gap_ns"] = max(0, mine.start - over)
        found.append(row)
    return found


@settings(max_examples=scale_examples(150))
@given(st.integers(0, 1 << 40), st.integers(1, 25), st.integers(1, 3), st.booleans())
def test_overlapping_repeated_and_half_seen_steps_equal_the_slow_computation(
    seed: int, count: int, ranks: int, killed: bool
) -> None:
    choose = random.Random(seed)
    engine: list[Entry] = []
    workers: list[list[Entry]] = [[] for _ in range(ranks)]
    start = 1_000
    for _ in range(count):
        start += choose.randrange(40, 200)
        step = choose.choice(["a@0", "a@7", "b@0", None])
        schedule, update = step_of(start, step, "decode" if step else "idle", 0, 1 if step else 0)
        engine.append(schedule._replace(end=None) if killed and choose.random() < 0.1 else schedule)
        if choose.random() < 0.8:
            late = choose.randrange(5, 300)
            engine.append(
                update._replace(start=start + late, end=start + late + choose.randrange(1, 50))
            )
        for rank in workers:
            work = (
                work_of(
                    start + choose.randrange(11, 60), step, "decode", slow=choose.randrange(1, 4)
                )
                if step
                else []
            )
            rank += [one for one in work if choose.random() < 0.9]
    for entries in (engine, *workers):  # attributes name a range by its start
        starts = Counter((one.message, one.start) for one in entries)
        entries[:] = [one for one in entries if starts[one.message, one.start] == 1]
    with tempfile.TemporaryDirectory() as directory:
        write(directory, engine, header=ENGINE, close=not killed, clock=(WALL, 1))
        for rank, entries in enumerate(workers):
            write(
                directory,
                entries,
                pid=2 + rank,
                header={**worker(rank), "world_size": ranks},
                clock=(WALL, 1),
            )
        found = [
            {key: row[key] for key in slow_rows(engine, workers)[0]}
            for row in rows(Path(directory))
        ]
        truth = slow_rows(sorted(engine, key=lambda one: one.start), workers)
        assert found == [{**row, "start_ns": row["start_ns"] + WALL - 1} for row in truth]
