"""The formats of `autoinstr report`: name, whether it is text that a person reads, file to write
where none is named, writer."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, Callable, NamedTuple, TextIO

from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.report.data import stats_csv, stats_json
from autoinstr.report.page import report as page
from autoinstr.report.terminal import lists, modules_table
from autoinstr.report.timeline import chrome, perfetto, speedscope

if TYPE_CHECKING:
    from autoinstr.recording.reader import Run


class Format(NamedTuple):
    """`write` may return lines to be said beside the report; `default_file` is the name inside the
    run directory, or "" for standard output; `hint` what to do with the file, `unpacked` that this
    is so once it is no longer compressed."""

    write: Callable[[Run, BinaryIO, modules_table.Look, Tick], list[str] | None]
    default_file: str = ""
    binary: bool = False
    hint: str = ""
    unpacked: bool = False


def _as_text(
    write: Callable[[TextIO], list[str] | None], stream: BinaryIO, encoding: str
) -> list[str] | None:
    """Run a writer of text over a stream of bytes, which stays open. Line ends are the writer's
    own."""
    out = io.TextIOWrapper(stream, encoding=encoding, errors="backslashreplace", newline="")
    try:
        return write(out)
    finally:
        out.detach()


def _table(run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick) -> None:
    _as_text(lambda out: modules_table.write(run, out, look, tick), stream, look.encoding)


def _json(
    run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick
) -> list[str] | None:
    return _as_text(lambda out: stats_json.write(run, out, tick, look.phase), stream, "ascii")


def _csv(
    run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick
) -> list[str] | None:
    if look.table == "modules":
        return _as_text(
            lambda out: stats_csv.write(
                run, out, tick, look.phase, sort=look.sort, limit=look.limit
            ),
            stream,
            "utf-8",
        )
    return _as_text(lambda out: lists.write_csv(run, out, look, tick), stream, "utf-8")


def _html(
    run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick
) -> list[str] | None:
    return _as_text(lambda out: page.write(run, out, tick), stream, "utf-8")


def _pftrace(run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick) -> None:
    perfetto.write(run, stream, tick)


def _chrome(run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick) -> None:
    chrome.write(run, stream, tick)


def _speedscope(
    run: Run, stream: BinaryIO, look: modules_table.Look, tick: Tick = no_tick
) -> list[str]:
    return speedscope.write(run, stream, tick)


FORMATS = {
    "table": Format(_table),
    "html": Format(
        _html, "report.html", False, "open it in a browser", True
    ),  # Perfetto and speedscope take .gz
    "json": Format(_json),
    "csv": Format(_csv),
    "pftrace": Format(_pftrace, "report.pftrace", True, "open it at https://ui.perfetto.dev"),
    "chrome": Format(
        _chrome,
        "report.chrome.json",
        False,
        "open it at https://ui.perfetto.dev or in chrome://tracing",
    ),
    "speedscope": Format(
        _speedscope, "report.speedscope.json", False, "open it at https://www.speedscope.app"
    ),
}
