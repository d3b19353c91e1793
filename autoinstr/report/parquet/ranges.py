"""The ranges and marks of one recording, in batches of Arrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.blocks import read_batches
from autoinstr.analysis.labels import format_thread_label, get_native_tid
from autoinstr.analysis.phases import find_phases
from autoinstr.report.parquet.table_file import ROWS_IN_GROUP, load_pyarrow

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.blocks import ProgressTick, RangeBatch
    from autoinstr.recording.reader import OpenRange, Recording
    from autoinstr.report.parquet.table_file import TableFile

_LIMIT = 1 << 63
_NAME_FIELDS = ("kind", "domain", "message", "root", "path", "class")


class RangeTable:
    """Turns the batches of a recording into rows. Memory: ROWS_IN_GROUP rows, and the names."""

    def __init__(
        self,
        recording: Recording,
        process_fields: dict[str, Any],
        attributes: RecordingAttributes,
        still_open: list[OpenRange],
        offset_ns: int,
    ) -> None:
        """`process_fields` are the same in every row. `offset_ns` moves times to those since
        1970."""
        self._arrow = load_pyarrow()
        self._recording = recording
        self._process_fields = process_fields
        self._offset_ns = offset_ns
        self._still_open = still_open
        self._phases = find_phases(recording, attributes, lambda: still_open)
        self._texts: dict[str, list[str | None]] = {field: [] for field in (*_NAME_FIELDS, "phase")}
        self._positions: dict[int, int] = {}  # number of a name, or code -> position in `_texts`
        self._columns: dict[str, list[int | None]] = {}
        self._reset()

    def write(self, file: TableFile, tick: ProgressTick) -> None:
        """Write all rows: closed ranges and marks, then ranges that did not end."""
        for batch in read_batches(self._recording, tick, self._phases):
            self._add(batch.thread, batch.name_numbers, batch.starts, _subtract(batch))
            if len(self._columns["name"]) >= ROWS_IN_GROUP:
                self._flush(file)
        for entry in self._still_open:
            self._add(entry.thread, [entry.name], [entry.start_ns], [None])
        self._flush(file)

    def _add(self, thread: int, numbers: Any, starts: Any, durations: Any) -> None:
        positions = self._positions
        for number in dict.fromkeys(numbers):
            if number not in positions:
                self._add_name(number)
        self._columns["name"] += [positions[number] for number in numbers]
        self._columns["thread"] += [thread] * len(numbers)
        self._columns["start"] += starts
        self._columns["duration"] += durations

    def _add_name(self, number: int) -> None:
        origin = {} if self._phases is None else self._phases.origin
        name_number, phase = origin.get(number, (number, None))
        name = self._recording.names[name_number]
        fields = {**name._asdict(), "class": name.cls, "phase": phase}
        self._positions[number] = len(self._texts["phase"])
        for field, texts in self._texts.items():
            texts.append(fields[field])

    def _flush(self, file: TableFile) -> None:
        columns, arrow, compute = self._columns, self._arrow, self._arrow.compute
        count = len(columns["name"])
        self._reset()
        if not count:
            return
        indices = arrow.array(columns["name"], arrow.int32())
        arrays = {
            field: arrow.array(texts, arrow.string()).take(indices)
            for field, texts in self._texts.items()
        }
        threads = list(self._recording.threads)
        thread_indices = compute.index_in(
            arrow.array(columns["thread"]), value_set=arrow.array(threads, arrow.int64())
        )
        tids = [get_native_tid(self._recording, thread) for thread in threads]
        labels = [format_thread_label(self._recording, thread) for thread in threads]
        arrays["tid"] = arrow.array(tids, arrow.int64()).take(thread_indices)
        arrays["thread"] = arrow.array(labels, arrow.string()).take(thread_indices)
        arrays["start_ns"] = _make_times(arrow, columns["start"], self._offset_ns)
        arrays["duration_ns"] = _make_times(arrow, columns["duration"], 0)
        for field, value in self._process_fields.items():
            value_type = arrow.int64() if isinstance(value, int) else arrow.string()
            arrays[field] = arrow.repeat(arrow.scalar(value, value_type), count)
        file.add_table(arrays)

    def _reset(self) -> None:
        self._columns = {name: [] for name in ("name", "thread", "start", "duration")}


def _make_times(arrow: Any, values_ns: list[int | None], offset_ns: int) -> Any:
    """Return an array of the values plus an offset.

    A damaged recording may hold a time that no column can: that one is null."""
    times = [None if value is None else value + offset_ns for value in values_ns]
    return arrow.array(
        [None if time is None or not -_LIMIT <= time < _LIMIT else time for time in times],
        arrow.int64(),
    )


def _subtract(batch: RangeBatch) -> list[int]:
    return [end - start for start, end in zip(batch.starts, batch.ends)]
