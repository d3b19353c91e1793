"""Reports of a viewed run: made once, one at a time, cancelled when the server ends.

Fake writers can be paused.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from autoinstr.base.errors import AutoinstrError
from autoinstr.report.formats import FORMATS, Format
from autoinstr.report.view.report_cache import ReportCache
from tests.support.report_fakes import run_of


def test_one_report_is_made_once_and_two_are_not_made_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running: list[str] = []
    most: list[int] = []
    go_on = threading.Event()

    def writer(name: str) -> Any:
        def write(run: Any, stream: Any, look: Any, tick: Any) -> None:
            running.append(name)
            most.append(len(running))
            go_on.wait(10)
            stream.write(name.encode())
            running.remove(name)

        return write

    for name in ("json", "csv"):
        monkeypatch.setitem(FORMATS, name, Format(name, writer(name)))
    one = ReportCache(run_of(), None)
    files: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: files.append(one.get_file(name)))
        for name in ("json", "csv") * 3
    ]
    for thread in threads:
        thread.start()
    while not running:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert most == [1, 1]
    assert {Path(file).read_text() for file in files} == {"json", "csv"} and len(files) == 6
    one.close()
    assert os.listdir(tmp_path) == []


def test_what_is_being_made_when_the_server_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    begun = threading.Event()
    how: list[BaseException] = []

    def write(run: Any, stream: Any, look: Any, tick: Any) -> None:
        begun.set()
        for _ in range(1 << 40):
            tick(1)

    monkeypatch.setitem(FORMATS, "json", Format("json", write))
    one = ReportCache(run_of(), None)

    def ask() -> None:
        try:
            one.get_file("json")
        except AutoinstrError as error:
            how.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    begun.wait()
    one.close()
    thread.join(60)
    assert [str(error) for error in how] == ["the server is ending"]
    assert os.listdir(tmp_path) == []
    with pytest.raises(AutoinstrError):
        one.get_file("csv")
