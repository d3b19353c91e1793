"""The writers of report formats, as the rows of formats.py call them: `write_NAME(run, stream,
options, tick)`.

Each imports its format's file when it is called, opens the stream of bytes as that file needs it,
and passes the options that the format takes."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.recording.run import Run
    from autoinstr.report.options import TableOptions


@contextmanager
def open_text(stream: BinaryIO, encoding: str) -> Iterator[TextIO]:
    """Wrap a stream of bytes for a writer of text. The stream stays open; line ends are as
    written."""
    text = io.TextIOWrapper(stream, encoding=encoding, errors="backslashreplace", newline="")
    try:
        yield text
    finally:
        text.detach()


def write_table(run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick) -> None:
    """Write the tables of `--table`."""
    from autoinstr.report.terminal import modules_table

    with open_text(stream, options.encoding) as text:
        modules_table.write_tables(run, text, options, tick)


def write_html(run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick) -> list[str]:
    """Write the page."""
    from autoinstr.report.page import report as page

    with open_text(stream, "utf-8") as text:
        return page.write(run, text, tick, options.device)


def write_json(run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick) -> list[str]:
    """Write the sums of modules, requests and steps as JSON."""
    from autoinstr.report.data import stats_json

    with open_text(stream, "ascii") as text:
        return stats_json.write(run, text, tick, options.phase, options.device)


def write_csv(run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick) -> list[str]:
    """Write the table of `--table` as CSV."""
    from autoinstr.report.data import lists_csv, stats_csv
    from autoinstr.report.terminal import counters_list

    with open_text(stream, "utf-8") as text:
        if options.table == "pmu":
            return counters_list.write_counters_csv(text, options)
        if options.table != "modules":
            return lists_csv.write_csv(run, text, options, tick)
        return stats_csv.write(
            run,
            text,
            tick,
            options.phase,
            sort=options.sort,
            limit=options.limit,
            device=options.device,
        )


def write_pftrace(run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick) -> None:
    """Write the timeline for Perfetto."""
    from autoinstr.report.timeline import perfetto

    perfetto.write(run, stream, tick, options.device)


def write_chrome(run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick) -> None:
    """Write the timeline in Chrome's format."""
    from autoinstr.report.timeline import chrome

    chrome.write(run, stream, tick, options.device)


def write_speedscope(
    run: Run, stream: BinaryIO, options: TableOptions, tick: ProgressTick
) -> list[str]:
    """Write the timeline for speedscope."""
    from autoinstr.report.timeline import speedscope

    return speedscope.write(run, stream, tick)


def write_parquet(run: Run, directory: str, options: TableOptions, tick: ProgressTick) -> list[str]:
    """Write ranges, modules, steps and requests as Parquet files into the directory."""
    from autoinstr.report.parquet.export import export

    return export(run, directory, tick, options.device)


def write_ascend_db(
    run: Run,
    directory: str,
    options: TableOptions,
    tick: ProgressTick,
    kineto: tuple[str, ...] = (),
    name: str = "class",
) -> list[str]:
    """Write one database for each process into the directory."""
    from autoinstr.report.ascend_db.export import export
    from autoinstr.report.ascend_db.summary import format_summary

    return list(format_summary(export(run, kineto, directory, name, tick), directory))
