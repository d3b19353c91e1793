"""Write one SQLite database: rows in batches, texts as numbers."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from autoinstr.report.ascend_db import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BATCH = 5_000  # rows


class DatabaseWriter:
    """Writes a database. A table is created with its first row.

    Intermediate data lies in SQLite's temporary tables, on disk. Memory: each distinct text, and a
    batch of rows for each table.
    """

    def __init__(self, path: str) -> None:
        """Create a database. Raise sqlite3.Error if it cannot be written."""
        self.connection = sqlite3.connect(path)
        self.connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
            "PRAGMA temp_store=FILE; PRAGMA cache_size=-32000;"
        )
        self.counts: dict[str, int] = {}  # table -> rows written
        self._texts: dict[str, int] = {}
        self._pending_rows: dict[str, list[Sequence[object]]] = {}
        for table, rows in schema.CONSTANT_ROWS.items():
            self.add_rows(table, rows)

    def intern_text(self, text: str) -> int:
        """Return the id of a text in STRING_IDS. Add the text if it is new."""
        number = self._texts.get(text)
        if number is None:
            number = self._texts[text] = len(self._texts) + 1
            # JSON may contain half a surrogate pair, which UTF-8 cannot encode.
            encodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
            self.add_rows("STRING_IDS", [(number, encodable)])
        return number

    def find_text(self, text: str) -> int | None:
        """Return the id of a text that was added before, else None."""
        return self._texts.get(text)

    def add_rows(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """Add rows to a table of the schema or to a temporary table."""
        pending = self._pending_rows.setdefault(table, [])
        pending.extend(rows)
        if len(pending) >= BATCH:
            self._write(table)

    def create_temporary_table(self, table: str, columns: str) -> None:
        """Create a table that disappears with the connection."""
        self.connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
        self.counts[table] = 0

    def flush(self) -> None:
        """Write all pending rows, so that queries see them."""
        for table in list(self._pending_rows):
            self._write(table)

    def close(self, commit: bool) -> None:
        """Close the database. With `commit`, write everything first."""
        try:
            if commit:
                self.flush()
                self.connection.commit()
        finally:
            self.connection.close()

    def _write(self, table: str) -> None:
        rows = self._pending_rows.pop(table, [])
        if not rows:
            return
        if table not in self.counts:
            self.connection.execute(f"CREATE TABLE {table} ({schema.TABLES[table]})")
            self.counts[table] = 0
        placeholders = ",".join("?" * len(rows[0]))
        self.connection.executemany(f"INSERT INTO {table} VALUES ({placeholders})", rows)
        self.counts[table] += len(rows)
