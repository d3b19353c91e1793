"""Writes all tables of a run: `TABLE/run=NAME/rank=N/RECORDING.parquet`.

The folders are Hive partitions, which DuckDB, pandas, polars, Spark and Ray Data read as the
columns `run` and `rank`."""

from __future__ import annotations

import itertools
import os
import urllib.parse
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.serving import (
    ServingCollector,
    build_step_entry,
    list_request_columns,
)
from autoinstr.analysis.stats import collect_stats
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.text import format_count
from autoinstr.report.data.device_cells import build_device_cells
from autoinstr.report.data.device_json import build_line_entries
from autoinstr.report.data.row_entries import build_row_entries
from autoinstr.report.parquet.ranges import RangeTable
from autoinstr.report.parquet.schemas import TABLES
from autoinstr.report.parquet.table_file import TableFile, load_pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

NO_RANK = "__HIVE_DEFAULT_PARTITION__"  # readers of partitions take it for null


def export(
    run: Run, directory: str, tick: ProgressTick, device: RunDevice | None = None
) -> list[str]:
    """Write the tables of a run below a directory; return a line for the user. `device` has the
    device time of its rows.

    Memory: that of one recording's sums and a row group, and the steps and requests of the run.
    Raises AutoinstrError if pyarrow is missing, or a file cannot be written."""
    load_pyarrow()
    exporter = _Exporter(run, directory, device)
    try:
        for index, recording in enumerate(run.recordings):
            exporter.write_recording(index, recording, tick)
        exporter.write_serving()
    except OSError as error:
        raise AutoinstrError(
            f"{error.filename or directory}: cannot be written: {error.strerror or error}"
        ) from None
    counts = [format_count(count, table[:-1]) for table, count in exporter.counts.items()]
    return [f"wrote {directory}: {', '.join(counts)} (docs/reference/formats.md has queries)"]


class _Exporter:
    def __init__(self, run: Run, directory: str, device: RunDevice | None) -> None:
        self._run = run
        self._directory = directory
        self._device = device
        name = os.path.basename(os.path.abspath(run.path))
        self._partition = f"run={urllib.parse.quote(name, safe='')}"
        self._axis = Axis(run.recordings)
        self._serving = ServingCollector(run)
        self.counts = dict.fromkeys(TABLES, 0)

    def write_recording(self, index: int, recording: Recording, tick: ProgressTick) -> None:
        """Write the modules and the ranges of one recording."""
        attributes = collect_attributes(recording)
        stats = collect_stats(recording, attributes)
        self._serving.add(index, attributes)
        fields = self._build_process_fields(index)
        device = self._device.find_process(index) if self._device is not None else None
        entries = build_row_entries(index, recording, stats, None, device)
        lines = build_line_entries(index, device) if device is not None else []
        self._write_rows(
            "modules",
            index,
            (
                {
                    **entry,
                    **build_device_cells(entry["device"]),
                    "tid": entry["thread"]["tid"],
                    "thread": entry["thread"]["name"],
                }
                for entry in itertools.chain(entries, lines)
            ),
        )
        table = RangeTable(
            recording,
            fields,
            attributes,
            stats.read_open_ranges(recording),
            self._axis.base_ns + self._axis.offsets[index],
        )
        file = self._open("ranges", index)
        try:
            table.write(file, tick)
            file.finish()
        finally:
            file.discard()
        self.counts["ranges"] += file.count

    def write_serving(self) -> None:
        """Write the steps and the requests of all recordings."""
        steps: dict[int, list[dict[str, Any]]] = {}
        for step in self._serving.list_steps():
            steps.setdefault(step.process, []).append(build_step_entry(step))
        requests: dict[int, list[dict[str, Any]]] = {}
        for request in self._serving.list_requests():
            entry = {name: getattr(request, name) for name in list_request_columns([request])}
            requests.setdefault(request.process, []).append(entry)
        for index in range(len(self._run.recordings)):
            self._write_rows("steps", index, steps.pop(index, []))
            self._write_rows("requests", index, requests.pop(index, []))

    def _write_rows(self, table: str, index: int, rows: Iterable[dict[str, Any]]) -> None:
        fields = self._build_process_fields(index)
        file = self._open(table, index)
        try:
            for row in rows:
                file.add_row({**row, **fields})
            file.finish()
        finally:
            file.discard()
        self.counts[table] += file.count

    def _open(self, table: str, index: int) -> TableFile:
        """Create the file of a table: each recording has one, so that each table can be read."""
        recording = self._run.recordings[index]
        rank = NO_RANK if recording.rank is None else str(recording.rank)
        stem = os.path.splitext(os.path.basename(recording.file))[0]
        path = os.path.join(
            self._directory, table, self._partition, f"rank={rank}", f"{stem}.parquet"
        )
        return TableFile(path, TABLES[table])

    def _build_process_fields(self, index: int) -> dict[str, Any]:
        recording = self._run.recordings[index]
        return {
            "process": index,
            "pid": recording.pid,
            "role": recording.role,
            "host": recording.host,
        }
