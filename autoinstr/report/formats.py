"""The registry of report formats: one row per format.

`autoinstr report` takes its formats, help and checks from here, `autoinstr view` its downloads,
and a test compares docs/ with it. A new format is one file with a writer, a function in writers.py
that opens the stream for it, and one row here. A writer is imported when its first report is
written, so that the command line starts at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.recording.run import Run
    from autoinstr.report.options import TableOptions

Writer = Callable[..., "list[str] | None"]


class Format(NamedTuple):
    """One format.

    `writer` is a function, or "module:function" for one that is imported when it is first called.
    It is called as `writer(run, stream, options, tick)`. `stream` takes bytes, and `tick` is called
    with each number of records that were read. It may return remarks, which
    `autoinstr report` prints on stderr. A writer with `writes_folder` gets the path of a directory
    instead of a stream.

    `file_name` names the file, or folder, where a report is stored without -o. With `to_stdout` the
    report goes to standard output without -o, and the name is for `view` alone.

    `options` are the options of `autoinstr report` that only some formats take. Those without a
    field in TableOptions are keyword arguments of the writer, passed if the user gave them.
    `content` says what the format always contains; an error about such an option shows it.

    `label` is the text of the link in `view`; without one, `view` does not offer the format.
    """

    name: str
    writer: Writer | str
    file_name: str = ""
    to_stdout: bool = False
    binary: bool = False
    writes_folder: bool = False
    shows_warnings: bool = False  # the report itself contains the warnings about its recordings
    hint: str = ""  # what to do with the file
    shows_kernels: bool = False  # the report has each kernel of the profiles
    unpack_first: bool = False  # the program that reads the file does not take .gz
    options: tuple[str, ...] = ()
    content: str = ""
    label: str = ""
    media_type: str = "application/octet-stream"

    @property
    def default_file(self) -> str:
        """The file name inside the run directory without -o; "" for standard output."""
        return "" if self.to_stdout else self.file_name

    def write(
        self,
        run: Run,
        target: BinaryIO | str,
        options: TableOptions,
        tick: ProgressTick,
        **own_options: Any,
    ) -> list[str] | None:
        """Write the report of a run; return the remarks for stderr, if any.

        `target` is a stream of bytes, or the path of a directory with `writes_folder`."""
        return self._load_writer()(run, target, options, tick, **own_options)

    def _load_writer(self) -> Writer:
        if not isinstance(self.writer, str):
            return self.writer
        module, _, function = self.writer.partition(":")
        loaded: Writer = getattr(importlib.import_module(module), function)
        return loaded


def name_formats(option: str) -> str:
    """Name the formats that take an option: "format ascend-db", "formats table and csv"."""
    names = [row.name for row in FORMATS.values() if option in row.options]
    if len(names) == 1:
        return f"format {names[0]}"
    return f"formats {', '.join(names[:-1])} and {names[-1]}"


_JSON_TYPE = "application/json"
_ROWS = (
    Format(
        "table",
        "autoinstr.report.writers:write_table",
        to_stdout=True,
        shows_warnings=True,
        options=("table", "phase", "sort", "limit", "profile", "capture", "peak", "on"),
    ),
    Format(
        "html",
        "autoinstr.report.writers:write_html",
        "report.html",
        shows_kernels=True,
        hint="open it in a browser",
        unpack_first=True,
        options=("profile", "capture", "peak", "on"),
        content="the page has every module, request, step and phase",
        label="HTML page",
        media_type="text/html; charset=utf-8",
    ),
    Format(
        "json",
        "autoinstr.report.writers:write_json",
        "report.json",
        to_stdout=True,
        options=("phase", "profile", "capture", "peak", "on"),
        content="json has every module, request and step",
        label="JSON",
        media_type=_JSON_TYPE,
    ),
    Format(
        "csv",
        "autoinstr.report.writers:write_csv",
        "report.csv",
        to_stdout=True,
        options=("table", "phase", "sort", "limit", "profile", "capture", "peak", "on"),
        label="CSV",
        media_type="text/csv; charset=utf-8",
    ),
    Format(
        "pftrace",
        "autoinstr.report.writers:write_pftrace",
        "report.pftrace",
        binary=True,
        hint="open it at https://ui.perfetto.dev",
        options=("profile", "capture"),
        shows_kernels=True,
        content="a timeline has every range",
        label="Perfetto trace",
    ),
    Format(
        "chrome",
        "autoinstr.report.writers:write_chrome",
        "report.chrome.json",
        hint="open it at https://ui.perfetto.dev or in chrome://tracing",
        options=("profile", "capture"),
        shows_kernels=True,
        content="a timeline has every range",
        label="Chrome trace",
        media_type=_JSON_TYPE,
    ),
    Format(
        "speedscope",
        "autoinstr.report.writers:write_speedscope",
        "report.speedscope.json",
        hint="open it at https://www.speedscope.app",
        content="a timeline has every range",
        label="speedscope",
        media_type=_JSON_TYPE,
    ),
    Format(
        "ascend-db",
        "autoinstr.report.writers:write_ascend_db",
        writes_folder=True,
        options=("kineto", "name"),
        content="a database has every range",
    ),
    Format(
        "parquet",
        "autoinstr.report.writers:write_parquet",
        "parquet",
        writes_folder=True,
        options=("profile", "capture", "peak"),
        content="the files have every range",
    ),
)
FORMATS = {row.name: row for row in _ROWS}
# What users call a format. An error about such a word names the format.
NICKNAMES = {
    "perfetto": "pftrace",
    "perfetto-trace": "pftrace",
    "trace": "pftrace",
    "timeline": "pftrace",
    "tracing": "chrome",
    "page": "html",
    "web": "html",
    "text": "table",
    "txt": "table",
    "excel": "csv",
    "insight": "ascend-db",
    "flamegraph": "speedscope",
}
_ENDINGS = {
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".pftrace": "pftrace",
    ".perfetto-trace": "pftrace",
    ".chrome.json": "chrome",
    ".speedscope.json": "speedscope",
    ".json": "json",
}


def find_format_by_ending(path: str, formats: Iterable[str] = FORMATS) -> str | None:
    """Return the format that the ending of a file name stands for, or None; .gz is skipped.

    `formats` are the formats that the command can write."""
    name = path.lower().removesuffix(".gz")
    available = set(formats)
    for ending, format_name in _ENDINGS.items():
        if name.endswith(ending) and format_name in available:
            return format_name
    return None
