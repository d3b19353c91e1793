"""`--table requests` and `--table steps`: a line for each, for a terminal or as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis import serving_summary
from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.analysis.clock import alignment_lines
from autoinstr.analysis.serving import REQUEST_COLUMNS, STEP_COLUMNS, requests_of, steps_of
from autoinstr.base import text
from autoinstr.report.data.stats_csv import guarded
from autoinstr.report.terminal.layout import Column, layout

if TYPE_CHECKING:
    from autoinstr.analysis.requests import Request
    from autoinstr.analysis.steps import Step
    from autoinstr.recording.reader import Run
    from autoinstr.report.terminal.modules_table import Look

NAME_WIDTH = 12  # an id gets no less
MOST_PROBLEMS = 8
AS_THEY_CAME = ("tree", "arrival", "start")
NOTHING = {
    "requests": (
        "no requests: this run has none of the marks that vLLM's requests are read from",
        "They are set while the agent records vLLM with the targets of the default set.",
    ),
    "steps": (
        "no steps: this run has none of the ranges that vLLM's engine steps are read from",
        "They are sched.schedule and others, targets of the default set.",
    ),
}


def request_report(run: Run, look: Look, tick: Tick = no_tick) -> Iterator[str]:
    """The lines of `--table requests`."""
    rows = requests_of(run, tick)
    if rows:
        yield f"{run.path}: {text.count(len(rows), 'request')}"
        yield from serving_summary.request_lines(rows, look.width)
        yield ""
        yield from _listing(_request_columns(rows), ordered(rows, look.sort), look)
    else:
        yield from NOTHING["requests"]
    yield from _trouble(run)


def step_report(run: Run, look: Look, tick: Tick = no_tick) -> Iterator[str]:
    """The lines of `--table steps`."""
    everything = steps_of(run, tick)
    rows = [row for row in everything if look.phase in (None, row.phase)]
    if rows:
        yield f"{run.path}: {text.count(len(rows), 'step')}{f' of phase {look.phase}' if look.phase else ''}"
        yield ""
        yield from layout(_PHASES, serving_summary.by_phase(rows), look.width)
        yield ""
        yield from _listing(_step_columns(rows), ordered(rows, look.sort), look)
    elif everything:
        phases = ", ".join(dict.fromkeys(str(row.phase) for row in everything))
        yield f"no step has the phase {look.phase!a}; this run has: {phases}"
    else:
        yield from NOTHING["steps"]
    yield from _trouble(run)


def write_csv(run: Run, out: TextIO, look: Look, tick: Tick = no_tick) -> list[str]:
    """Either of them: a heading and a line each, times in nanoseconds; missing values are empty.
    Returns what a reader should know beside."""
    rows: list[Any]
    if look.table == "requests":
        columns = list(REQUEST_COLUMNS)
        rows = ordered(requests_of(run, tick), look.sort)
    else:
        columns = list(STEP_COLUMNS)
        rows = [
            row
            for row in ordered(steps_of(run, tick), look.sort)
            if look.phase in (None, row.phase)
        ]
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows[: look.limit or None]:
        cells = (getattr(row, column) for column in columns)
        writer.writerow(
            [guarded(" ".join(cell) if isinstance(cell, list) else cell) for cell in cells]
        )
    return [] if rows else [NOTHING[look.table][0]]


def ordered(rows: Sequence[Any], sort: str) -> list[Any]:
    """As they came, or the largest first; what lacks the figure comes last."""

    def key(row: Any) -> tuple[bool, int]:
        value = getattr(row, f"{sort}_ns")
        if value is None and sort in ("ttft", "e2e"):
            value = getattr(row, f"engine_{sort}_ns")
        return value is None, -(value or 0)

    return list(rows) if sort in AS_THEY_CAME else sorted(rows, key=key)


def _trouble(run: Run) -> Iterator[str]:
    """What to know before believing the rows."""
    yield from (f"! {line}" for line in alignment_lines(run.recordings))
    for recording in run.recordings:
        if recording.dropped:
            yield f"! {recording.file}: {text.count(recording.dropped, 'range')} dropped, the recording was full (option max_mb)"
    for problem in [
        *run.problems,
        *(problem for recording in run.recordings for problem in recording.problems),
    ][:MOST_PROBLEMS]:
        yield f"! {problem}"


def _listing(columns: list[Column], rows: Sequence[Any], look: Look) -> Iterator[str]:
    shown = rows[: look.limit] if look.limit else rows
    yield from layout(columns, shown, look.width)
    if len(shown) < len(rows):
        yield f"… {text.count(len(rows) - len(shown), 'more line')} (--limit 0 shows all, --sort puts the largest first)"


def _request_columns(rows: Sequence[Request]) -> list[Column]:
    """Where the front end's process is not in the run, times are the engine's: the headings say
    so."""
    zero = min(row.first_ns for row in rows)
    engine = serving_summary.from_engine_only(rows)
    return [
        Column("request", lambda row: text.printable(row.name), least=NAME_WIDTH, keep_end=True),
        Column("arrived", lambda row: "+" + text.duration(row.first_ns - zero)),
        Column("queue", lambda row: _time(row.queue_ns), 2),
        Column(
            "engine TTFT" if engine else "TTFT",
            lambda row: _time(row.engine_ttft_ns if engine else row.ttft_ns),
        ),
        Column("TPOT", lambda row: _time(row.tpot_ns), 1),
        Column(
            "in engine" if engine else "end to end",
            lambda row: _time(row.engine_e2e_ns if engine else row.e2e_ns),
        ),
        Column("prompt", lambda row: _count(row.prompt_tokens), 3),
        Column("output", lambda row: _count(row.output_tokens), 3),
        Column("cached", lambda row: _count(row.cached_tokens), 6),
        Column("preempted", lambda row: _count(row.preemptions), 5),
        Column("end", lambda row: text.printable(row.reason or row.state)),
    ]


def _step_columns(rows: Sequence[Step]) -> list[Column]:
    zero = min(row.start_ns for row in rows)
    return [
        Column("step", lambda row: f"{row.index:,}", least=NAME_WIDTH),
        Column("phase", lambda row: text.printable(row.phase or "?")),
        Column("start", lambda row: "+" + text.duration(row.start_ns - zero)),
        Column("duration", lambda row: _time(row.duration_ns)),
        Column("batch", lambda row: _count(row.requests)),
        Column("prefills", lambda row: _count(row.prefills), 7),
        Column("tokens", lambda row: _count(row.tokens), 2),
        Column("running", lambda row: _count(row.running), 4),
        Column("waiting", lambda row: _count(row.waiting), 3),
        Column("KV", lambda row: "" if row.kv_usage is None else f"{100 * row.kv_usage:.1f}%", 5),
        Column("schedule", lambda row: _time(row.schedule_ns), 6),
        Column("execute", lambda row: _time(row.execute_ns), 1),
        Column("sample", lambda row: _time(row.sample_ns), 8),
        Column("update", lambda row: _time(row.update_ns), 9),
        Column("gap before", lambda row: _time(row.gap_ns), 10),
    ]


_PHASES = [
    Column("phase", lambda one: text.printable(one.phase), least=NAME_WIDTH),
    Column("steps", lambda one: _count(one.steps)),
    Column("mean", lambda one: _time(one.mean_ns)),
    Column("p50", lambda one: _time(one.p50_ns)),
    Column("p99", lambda one: _time(one.p99_ns)),
    Column("batch", lambda one: "" if one.batch is None else f"{one.batch:.1f}", 5),
    Column("tokens", lambda one: "" if one.tokens is None else f"{one.tokens:.1f}", 6),
    *(
        Column(heading, lambda one, at=at: _time(one.parts[at]), drop)  # type: ignore[misc]
        for at, (heading, drop) in enumerate(
            (("schedule", 2), ("execute", 1), ("sample", 3), ("update", 4))
        )
    ),
]


def _time(ns: float | None) -> str:
    return "" if ns is None else text.duration(ns)


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
