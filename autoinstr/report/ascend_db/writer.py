"""One database that is being written: rows go to SQLite in batches, texts become numbers."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from autoinstr.report.ascend_db import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BATCH = 5_000


class Database:
    """A table appears with its first row. What is only needed on the way lies in SQLite's temporary
    tables, on disk. Memory: the texts, each once, and a batch of rows for each table."""

    def __init__(self, path: str) -> None:
        """Make a new database. sqlite3.Error where it cannot be written."""
        self.connection = sqlite3.connect(path)
        self.connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE; PRAGMA cache_size=-32000;"
        )
        self.counts: dict[str, int] = {}
        self._texts: dict[str, int] = {}
        self._waiting: dict[str, list[Sequence[object]]] = {}
        for table, rows in schema.WORDS.items():
            self.add(table, rows)

    def text(self, text: str) -> int:
        """The number of a text in STRING_IDS."""
        number = self._texts.get(text)
        if number is None:
            number = self._texts[text] = len(self._texts) + 1
            # Half a surrogate pair, which JSON may hold, has no UTF-8.
            self.add(
                "STRING_IDS", [(number, text.encode("utf-8", "backslashreplace").decode("utf-8"))]
            )
        return number

    def known(self, text: str) -> int | None:
        """The number of a text that is there already."""
        return self._texts.get(text)

    def add(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """More rows for a table of the schema, or for a temporary one."""
        waiting = self._waiting.setdefault(table, [])
        waiting.extend(rows)
        if len(waiting) >= BATCH:
            self._write(table)

    def temporary(self, table: str, columns: str) -> None:
        """A table that is gone with the connection."""
        self.connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
        self.counts[table] = 0

    def flush(self) -> None:
        """What was added can be read."""
        for table in list(self._waiting):
            self._write(table)

    def close(self, whole: bool) -> None:
        """The end; `whole` says that the database is to be kept."""
        try:
            if whole:
                self.flush()
                self.connection.commit()
        finally:
            self.connection.close()

    def _write(self, table: str) -> None:
        rows = self._waiting.pop(table, [])
        if not rows:
            return
        if table not in self.counts:
            self.connection.execute(f"CREATE TABLE {table} ({schema.TABLES[table]})")
            self.counts[table] = 0
        self.connection.executemany(
            f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows
        )
        self.counts[table] += len(rows)
