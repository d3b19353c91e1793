"""Reports of one run in a private temporary folder. Each is made at the first request."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, TextIO

from autoinstr.base.errors import AutoinstrError
from autoinstr.base.progress import Progress
from autoinstr.report.formats import FORMATS
from autoinstr.report.options import TableOptions
from autoinstr.report.output import open_output

if TYPE_CHECKING:
    from autoinstr.recording.run import Run

CLOSE_TIMEOUT_S = 10.0  # for a report that is being made when the server ends


class ReportCache:
    """The reports of a run.

    Only one report is made at a time, so memory stays that of one report.
    """

    def __init__(self, run: Run, progress: TextIO | None) -> None:
        """Create the folder. `progress` is the stream for progress lines."""
        self.run = run
        self._progress = progress
        self._folder = tempfile.mkdtemp(prefix="autoinstr-view-")  # mode 0700
        self._lock = threading.Lock()
        self._is_closed = False

    def get_file(self, name: str) -> str:
        """Return the path of the report in one format. Raise AutoinstrError if it fails."""
        file = os.path.join(self._folder, name)
        with self._lock:
            if not os.path.exists(file):
                self._make_report(name, file)
        return file

    def close(self) -> None:
        """Cancel a report that is being made, and remove the folder."""
        self._is_closed = True
        if self._lock.acquire(timeout=CLOSE_TIMEOUT_S):
            self._lock.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_report(self, name: str, file: str) -> None:
        report_format = FORMATS[name]
        progress = Progress(self._progress, f"{name} of {self.run.path}", total=self.run.capacity)

        def tick(count: int) -> None:
            if self._is_closed:
                raise AutoinstrError("the server is ending")
            progress.tick(count)

        try:
            tick(0)
            with open_output(file, binary=report_format.binary) as stream:
                report_format.write(self.run, stream, TableOptions(), tick)
        finally:
            progress.finish()
