"""Reports of one run, each made when it is first asked for, in a private folder that goes when the
server does."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, TextIO

from autoinstr.base.errors import AutoinstrError
from autoinstr.base.progress import Progress
from autoinstr.report.formats import FORMATS
from autoinstr.report.output import opened
from autoinstr.report.terminal.modules_table import Look

if TYPE_CHECKING:
    from autoinstr.recording.reader import Run

PATIENCE_S = 10.0  # for what is being made when the server ends


class Made:
    """The reports. One is made at a time, whoever asks: memory stays that of one report."""

    def __init__(self, run: Run, progress: TextIO | None) -> None:
        self.run = run
        self._progress = progress
        self._folder = tempfile.mkdtemp(prefix="autoinstr-view-")  # 0700
        self._lock = threading.Lock()
        self._closed = False

    def file(self, name: str) -> str:
        """The file of one format. AutoinstrError where it cannot be made."""
        file = os.path.join(self._folder, name)
        with self._lock:
            if not os.path.exists(file):
                self._make(name, file)
        return file

    def close(self) -> None:
        """Remove all of them; what is being made ends early."""
        self._closed = True
        if self._lock.acquire(timeout=PATIENCE_S):
            self._lock.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, name: str, file: str) -> None:
        chosen = FORMATS[name]
        progress = Progress(self._progress, f"{name} of {self.run.path}", total=self.run.capacity)

        def tick(count: int) -> None:
            if self._closed:
                raise AutoinstrError("the server is ending")
            progress.tick(count)

        try:
            tick(0)
            with opened(file, binary=chosen.binary) as stream:
                chosen.write(self.run, stream, Look(), tick)
        finally:
            progress.done()
