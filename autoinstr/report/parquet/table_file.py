"""One Parquet file, written in row groups, which appears only when it is complete."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import AutoinstrError
from autoinstr.report.output import create_file

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.report.parquet.schemas import Columns

ROWS_IN_GROUP = 1 << 16  # the most rows in memory


def load_pyarrow() -> ModuleType:
    """Return pyarrow. Raises AutoinstrError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise AutoinstrError(
            f"--format parquet needs pyarrow ({error}): pip install 'autoinstr[parquet]'"
        ) from None
    return pyarrow  # type: ignore[no-any-return]


def make_schema(columns: Columns) -> Any:
    """Return the pyarrow schema of these columns."""
    arrow = load_pyarrow()
    types = {
        "int": arrow.int64(),
        "float": arrow.float64(),
        "text": arrow.string(),
        "texts": arrow.list_(arrow.string()),
    }
    return arrow.schema([(name, types[word]) for name, word in columns.items()])


class TableFile:
    """A file that gets rows or record batches. Close it with `finish` or `discard`."""

    def __init__(self, path: str, columns: Columns) -> None:
        """Create the file beside `path`, and the folders to it. Raises OSError."""
        self._arrow = load_pyarrow()
        self._path = path
        self._draft = f"{path}.part-{os.getpid()}-{os.urandom(4).hex()}"
        self._schema = make_schema(columns)
        self._rows: list[dict[str, Any]] = []
        self.count = 0
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._stream = open(self._draft, "wb", opener=create_file)  # noqa: SIM115
        self._writer = self._arrow.parquet.ParquetWriter(
            self._stream, self._schema, compression="zstd"
        )

    def add_row(self, row: dict[str, Any]) -> None:
        """Add one row; columns that it lacks are null."""
        self._rows.append({name: row.get(name) for name in self._schema.names})
        if len(self._rows) >= ROWS_IN_GROUP:
            self._write_rows()

    def add_table(self, arrays: dict[str, Any]) -> None:
        """Add rows as a pyarrow array for each column."""
        table = self._arrow.table([arrays[name] for name in self._schema.names], self._schema)
        self._writer.write_table(table)
        self.count += table.num_rows

    def finish(self) -> None:
        """Write what is left, and move the file to its place."""
        self._write_rows()
        self._writer.close()
        self._stream.close()
        os.replace(self._draft, self._path)

    def discard(self) -> None:
        """Remove the file: it is not complete."""
        self._stream.close()
        if os.path.exists(self._draft):
            os.unlink(self._draft)

    def _write_rows(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._writer.write_table(self._arrow.Table.from_pylist(rows, self._schema))
            self.count += len(rows)
