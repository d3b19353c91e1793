"""Progress on stderr: only for reports that take long."""

from __future__ import annotations

import io

import pytest

from autoinstr.base import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(Clock, "now", 100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_terminal_gets_one_line_that_is_taken_away_again(clock: type[Clock]) -> None:
    terminal = Terminal()
    shown = progress.Progress(terminal, "table of run")
    shown.tick(1000)
    assert terminal.getvalue() == ""
    clock.now += 0.6
    shown.tick(500)
    shown.tick(500)
    assert terminal.getvalue() == "\rautoinstr: table of run: 1,500 ranges, 1 s\x1b[K"
    shown.finish()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_log_gets_a_line_after_two_seconds_and_then_seldom(clock: type[Clock]) -> None:
    log = io.StringIO()
    shown = progress.Progress(log, "table of run")
    clock.now += 1.9
    shown.tick(1)
    assert log.getvalue() == ""
    for _ in range(5):
        clock.now += 2.5
        shown.tick(1)
    shown.finish()
    assert (
        log.getvalue()
        == "autoinstr: table of run: 2 ranges, 4 s\nautoinstr: table of run: 6 ranges, 14 s\n"
    )


def test_where_the_end_is_known_a_terminal_gets_a_bar_and_a_log_per_cent(
    clock: type[Clock],
) -> None:
    bar = "\rautoinstr: json of run: [#####---------------] 25 %, 250 ranges, 3 s\x1b[K"
    for stream, told in (
        (Terminal(), bar),
        (io.StringIO(), "autoinstr: json of run: 25 %, 250 ranges, 3 s\n"),
    ):
        shown = progress.Progress(stream, "json of run", total=1000)
        clock.now += 3
        shown.tick(250)
        assert stream.getvalue() == told
        clock.now += 60
        shown.tick(9_000)  # more than there could be is not more than everything
        assert " 100 %, " in stream.getvalue()


def test_a_stderr_that_breaks_does_not_stop_the_report(clock: type[Clock]) -> None:
    broken = Terminal()
    shown = progress.Progress(broken, "x")
    broken.close()
    for _ in range(3):
        clock.now += 60
        shown.tick(3)
    shown.finish()
    assert shown.count == 9


def test_without_stderr_nothing_happens(clock: type[Clock]) -> None:
    shown = progress.Progress(None, "x")
    clock.now += 60
    shown.tick(3)
    shown.finish()
    assert shown.count == 3
