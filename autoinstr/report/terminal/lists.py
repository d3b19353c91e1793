"""`--table requests` and `--table steps` on a terminal: one line for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from autoinstr.analysis import serving_summary
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.clock import describe_alignment
from autoinstr.analysis.dropped_ranges import describe_dropped_ranges
from autoinstr.analysis.labels import format_short_label
from autoinstr.analysis.serving import read_requests, read_steps
from autoinstr.analysis.training_steps import read_run_steps
from autoinstr.base import text
from autoinstr.report.data.lists_csv import NO_ROWS, sort_rows
from autoinstr.report.terminal import training_list
from autoinstr.report.terminal.cells import format_number, format_time
from autoinstr.report.terminal.layout import Column, format_table, list_left_out
from autoinstr.report.terminal.style import format_warning

if TYPE_CHECKING:
    from autoinstr.analysis.engine_step import EngineStep
    from autoinstr.analysis.request import Request
    from autoinstr.recording.run import Run
    from autoinstr.report.options import TableOptions

MIN_NAME_WIDTH = 12
PROBLEM_LIMIT = 8
ZERO_RANK = 20  # columns of zeros go before all others


def format_requests(
    run: Run, options: TableOptions, tick: ProgressTick = ignore_tick
) -> Iterator[str]:
    """Yield the lines of `--table requests`."""
    requests = read_requests(run, tick)
    if requests:
        yield f"{run.path}: {text.format_count(len(requests), 'request')}"
        yield from serving_summary.summarize_requests(requests, options.width)
        yield ""
        columns = _build_request_columns(run, requests)
        yield from _format_rows(columns, sort_rows(requests, options.sort), options)
    else:
        yield from NO_ROWS["requests"]
    yield from _format_problems(run)


def format_steps(
    run: Run, options: TableOptions, tick: ProgressTick = ignore_tick
) -> Iterator[str]:
    """Yield the lines of `--table steps`."""
    all_steps = read_steps(run, tick)
    steps = [step for step in all_steps if options.phase in (None, step.phase)]
    rows = sort_rows(steps, options.sort)
    if steps:
        phase = f" of phase {options.phase}" if options.phase else ""
        partly = serving_summary.describe_partial_steps(steps)
        yield f"{run.path}: {text.format_count(len(steps), 'step')}{phase}{partly}"
        yield ""
        phases = serving_summary.summarize_phases(steps)
        yield from format_table(_PHASE_COLUMNS, phases, options.width)
        yield ""
        columns = _build_step_columns(run, steps)
        yield from _format_rows(columns, rows, options)
    elif all_steps:
        available = ", ".join(dict.fromkeys(str(step.phase) for step in all_steps))
        yield f"no step has the phase {options.phase!a}; this run has: {available}"
    else:
        yield from _format_training_steps(run, options, tick)
    yield from _format_problems(run)


def _format_training_steps(run: Run, options: TableOptions, tick: ProgressTick) -> Iterator[str]:
    steps = read_run_steps(run, tick)
    if not steps:
        yield from NO_ROWS["steps"]
        return
    rows = sort_rows(steps, options.sort)
    yield f"{run.path}: {text.format_count(len(steps), 'training step')}"
    yield ""
    yield from training_list.format_training_summary(steps, options.width)
    yield ""
    columns = training_list.build_training_columns(run, steps)
    yield from _format_rows(columns, rows, options)


def _format_problems(run: Run) -> Iterator[str]:
    """Yield what a reader needs before believing the rows."""
    yield from map(format_warning, describe_alignment(run.recordings))
    for recording in run.recordings:
        dropped_ranges = describe_dropped_ranges(recording)
        if dropped_ranges:
            yield format_warning(f"{recording.file}: {dropped_ranges}")
    problems = [problem for recording in run.recordings for problem in recording.problems]
    for problem in [*run.problems, *problems][:PROBLEM_LIMIT]:
        yield format_warning(problem)


def _format_rows(
    columns: list[Column], rows: Sequence[Any], options: TableOptions
) -> Iterator[str]:
    shown_rows = rows[: options.limit] if options.limit else rows
    yield from format_table(columns, shown_rows, options.width)
    left_out = list_left_out(columns, shown_rows, options.width)
    if left_out:
        yield from text.wrap_items("columns left out for lack of width", left_out, options.width)
    if len(shown_rows) < len(rows):
        hidden_rows = text.format_count(len(rows) - len(shown_rows), "more line")
        yield f"… {hidden_rows} (--limit 0 shows all, --sort puts the largest first)"


def _build_request_columns(run: Run, requests: Sequence[Request]) -> list[Column]:
    """Return the columns of requests.

    If the front end's process is not in the run, times are the engine's, and the headings say so.
    """
    is_engine_only = serving_summary.has_engine_times_only(requests)
    begin = "queued" if is_engine_only else "arrived"
    first_ns = min((time for row in requests if (time := getattr(row, f"{begin}_ns"))), default=0)
    if is_engine_only:
        ttft = Column("engine TTFT", lambda row: format_time(row.engine_ttft_ns))
        e2e = Column("in engine", lambda row: format_time(row.engine_e2e_ns))
    else:
        ttft = Column("TTFT", lambda row: format_time(row.ttft_ns))
        e2e = Column("end to end", lambda row: format_time(row.e2e_ns))
    return [
        Column(
            "request",
            lambda row: text.escape_unprintable(row.name),
            min_width=MIN_NAME_WIDTH,
            keep_end=True,
        ),
        *_build_engine_columns(run, requests),
        Column(begin, lambda row: _format_distance(getattr(row, f"{begin}_ns"), first_ns)),
        Column("queue", lambda row: format_time(row.queue_ns), 2),
        ttft,
        Column("TPOT", lambda row: format_time(row.tpot_ns), 1),
        e2e,
        Column("prompt", lambda row: format_number(row.prompt_tokens), 3),
        Column("output", lambda row: format_number(row.output_tokens), 3),
        _make_count_column("cached", "cached_tokens", requests, 6),
        _make_count_column("preempted", "preemptions", requests, 5),
        Column("adapter", lambda row: text.escape_unprintable(row.adapter or ""), 7),
        Column("end", lambda row: text.escape_unprintable(row.reason or row.state)),
    ]


def _build_engine_columns(run: Run, rows: Sequence[Any]) -> list[Column]:
    """Return a column that says which engine served a row; none if there is one engine."""
    engines = {
        index: format_short_label(recording)
        for index, recording in enumerate(run.recordings)
        if "EngineCore" in recording.roles
    }
    if len({row.process for row in rows if row.process in engines}) < 2:
        return []
    return [Column("engine", lambda row: engines.get(row.process, ""), 7)]


def _make_count_column(heading: str, attribute: str, rows: Sequence[Any], drop_rank: int) -> Column:
    """Return a column of counts. Where all are zero it is the first that a narrow table loses."""
    is_zero = not any(getattr(row, attribute) for row in rows)
    return Column(
        heading,
        lambda row: format_number(getattr(row, attribute)),
        ZERO_RANK if is_zero else drop_rank,
    )


def _format_distance(time_ns: int | None, origin_ns: int) -> str:
    return "" if time_ns is None else "+" + text.format_duration(time_ns - origin_ns)


def _build_step_columns(run: Run, steps: Sequence[EngineStep]) -> list[Column]:
    first_ns = min(step.start_ns for step in steps)
    return [
        Column("step", lambda row: f"{row.index:,}", min_width=MIN_NAME_WIDTH),
        Column("phase", lambda row: text.escape_unprintable(row.phase or "?")),
        *_build_engine_columns(run, steps),
        Column("start", lambda row: "+" + text.format_duration(row.start_ns - first_ns)),
        Column("duration", lambda row: format_time(row.duration_ns)),
        Column("batch", lambda row: format_number(row.requests)),
        Column("prefills", lambda row: format_number(row.prefills), 7),
        Column("tokens", lambda row: format_number(row.tokens), 2),
        Column("running", lambda row: format_number(row.running), 4),
        Column("waiting", lambda row: format_number(row.waiting), 3),
        Column("KV", lambda row: "" if row.kv_usage is None else f"{100 * row.kv_usage:.1f}%", 5),
        Column("schedule", lambda row: format_time(row.schedule_ns), 6),
        Column("execute", lambda row: format_time(row.execute_ns), 1),
        Column("sample", lambda row: format_time(row.sample_ns), 8),
        Column("update", lambda row: format_time(row.update_ns), 9),
        Column("gap before", lambda row: format_time(row.gap_ns), 10),
    ]


_PHASE_COLUMNS = [
    Column("phase", lambda row: text.escape_unprintable(row.phase), min_width=MIN_NAME_WIDTH),
    Column("steps", lambda row: format_number(row.steps)),
    Column("mean", lambda row: format_time(row.mean_ns)),
    Column("p50", lambda row: format_time(row.p50_ns)),
    Column("p99", lambda row: format_time(row.p99_ns)),
    Column("batch", lambda row: "" if row.batch is None else f"{row.batch:.1f}", 5),
    Column("tokens", lambda row: "" if row.tokens is None else f"{row.tokens:.1f}", 6),
    Column("schedule", lambda row: format_time(row.parts[0]), 2),
    Column("execute", lambda row: format_time(row.parts[1]), 1),
    Column("sample", lambda row: format_time(row.parts[2]), 3),
    Column("update", lambda row: format_time(row.parts[3]), 4),
]
