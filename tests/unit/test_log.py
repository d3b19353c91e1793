"""Test log lines in a user's process: their place, their form, and that they cannot do harm."""

from __future__ import annotations

import ast
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstr.base import log

ROOT = Path(__file__).resolve().parents[2]
HEAD = "from autoinstr.base import log; import os, sys; logger = log.get_logger()\n"
MODES = ["structlog", "plain"]


@pytest.fixture(autouse=True)
def fresh() -> object:
    log.reset()
    yield
    log.reset()


def run(code: str, mode: str = "structlog", **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a real interpreter. In mode plain, structlog cannot be imported there."""
    block = "import sys; sys.modules['structlog'] = None\n" if mode == "plain" else ""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", block + HEAD + code],
        env=environ,
        text=True,
        timeout=60,
        check=False,
        **{"capture_output": True, **settings},
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_line_is_the_same_with_and_without_structlog(mode: str) -> None:
    done = run(
        (
            "logger.warning('cannot write it', path='/a b', count=3, error=ValueError('x\\ny')); "
            "print(os.getpid())"
        ),
        mode,
    )
    pid = done.stdout.strip()
    assert done.stderr == (
        f"autoinstr: cannot write it path='/a b' count=3 error='ValueError: x\\ny' "
        f"level=warning pid={pid}\n"
    )


@pytest.mark.parametrize("mode", MODES)
def test_json_lines(mode: str) -> None:
    done = run(
        "log.configure('debug', 'json'); logger.debug('a\\nb', path='é', thing=object, none=None)",
        mode,
    )
    line = json.loads(done.stderr)
    assert done.stderr.count("\n") == 1
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("pid") > 0
    assert line == {
        "logger": "autoinstr",
        "event": "a\nb",
        "level": "debug",
        "path": "é",
        "thing": "<class 'object'>",
        "none": None,
    }


@pytest.mark.parametrize("mode", MODES)
def test_levels_and_lazy_import(mode: str) -> None:
    """An import of structlog takes 60 to 240 ms. A process without log lines must not import it."""
    code = (
        "logger.info('a'); logger.debug('b'); log.write_once('k', 'info', 'c'); "
        "print('structlog._config' in sys.modules); logger.error('d')"
    )
    done = run(code, mode)
    assert done.stdout == "False\n"
    assert done.stderr.startswith("autoinstr: d level=error ")
    assert done.stderr.count("\n") == 1


def test_the_hosts_structlog_is_neither_read_nor_changed() -> None:
    done = run(
        "import structlog\n"
        "def boom(*a, **k): raise RuntimeError('the host\\'s processor ran')\n"
        "structlog.configure(processors=[boom], wrapper_class=None, logger_factory=boom)\n"
        "before = repr(structlog.get_config())\n"
        "logger.warning('hello')\n"
        "print(repr(structlog.get_config()) == before)\n"
    )
    assert done.stdout == "True\n"
    assert done.stderr.startswith("autoinstr: hello level=warning ")
    assert (
        run("logger.warning('hello'); import structlog; print(structlog.is_configured())").stdout
        == "False\n"
    )


@pytest.mark.parametrize(
    "stand_in", ["class structlog: pass", "import types; structlog = types.ModuleType('structlog')"]
)
def test_a_structlog_that_is_not_structlog(stand_in: str) -> None:
    """A user's script may be called structlog.py."""
    done = run(f"{stand_in}\nsys.modules['structlog'] = structlog\nlogger.warning('hello')")
    assert done.stderr.startswith("autoinstr: hello level=warning ")


def test_a_child_does_not_wait_for_an_import_that_only_its_parent_can_finish(
    tmp_path: Path,
) -> None:
    """A fork while another thread imports structlog: in the child that thread is gone, and the lock
    of the import is never released."""
    (tmp_path / "structlog.py").write_text("import time; time.sleep(60)")
    code = (
        f"import signal, threading, time; sys.path.insert(0, {str(tmp_path)!r})\n"
        "threading.Thread(target=__import__, args=('structlog',)).start()\n"
        "while 'structlog' not in sys.modules: time.sleep(0.01)\n"
        "child = os.fork()\n"
        "if not child:\n    signal.alarm(4); logger.warning('hello'); os._exit(0)\n"
        "print(os.waitpid(child, 0)[1], flush=True)\n"
        "os._exit(0)  # without the thread, which still imports\n"
    )
    done = run(code)
    assert done.stdout == "0\n"
    assert "autoinstr: hello level=warning " in done.stderr


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "break_stderr",
    [
        "sys.stderr = None",
        "sys.stderr.close()",
        "os.close(2)",
        "sys.stderr = object()",
        "sys.stderr = open(os.devnull)",  # not writable
        "sys.stderr = sys.__stderr__ = None",
    ],
)
def test_a_broken_stderr_harms_nobody(break_stderr: str, mode: str) -> None:
    done = run(
        (
            f"{break_stderr}\nlogger.error('x'); log.write_once('k', 'error', 'y'); "
            f"print('alive'); sys.stderr = None"
        ),
        mode,
    )
    assert done.stdout == "alive\n"
    assert done.returncode == 0


def test_a_reader_that_went_away_harms_nobody() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = run(
            "logger.error('x'); print('alive')",
            capture_output=False,
            stdout=subprocess.PIPE,
            stderr=write,
        )
    finally:
        os.close(write)
    assert (done.stdout, done.returncode) == ("alive\n", 0)


@pytest.mark.parametrize("mode", MODES)
def test_values_that_cannot_be_shown(mode: str) -> None:
    code = (
        "class Bad:\n    def __str__(self): raise RuntimeError\n    __repr__ = __str__\n"
        "logger.warning('x', bad=Bad(), lone='\\udc80', event_='e', level_='l', method_name='m')\n"
        "logger.warning(Bad())\nlogger.warning('last')\n"
    )
    lines = run(code, mode).stderr.splitlines()
    assert lines[0].startswith(
        "autoinstr: x bad=<Bad> lone='\\udc80' event_=e level_=l method_name=m level=warning"
    )
    assert lines[-1].startswith("autoinstr: last ")


@pytest.mark.parametrize("fmt", ["console", "json"])
def test_a_line_is_never_longer_than_what_a_pipe_writes_at_once(fmt: str) -> None:
    done = run(
        f"log.configure('warning', '{fmt}'); logger.warning('long', **{{f'k{{i}}': 'é' * 900 "
        f"for i in range(9)}})"
    )
    assert len(done.stderr.encode()) <= 4096
    assert "truncated" in done.stderr
    assert "long" in done.stderr


def test_lines_of_several_processes_and_threads_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "a.log"
    code = (
        f"import threading; log.configure('warning', 'console', {str(target)!r})\n"
        "work = lambda: [logger.warning('e', v='x' * 900) for _ in range(40)]\n"
        "for _ in range(3): os.fork()\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "try:\n    while True: os.wait()\nexcept ChildProcessError: pass\n"
    )
    done = run(code)
    assert done.stderr.count("\n") <= 2 or "DeprecationWarning" in done.stderr, done.stderr
    lines = target.read_text().splitlines()
    assert len(lines) == 8 * 4 * 40
    assert {line.rpartition(" pid=")[0] for line in lines} == {
        f"autoinstr: e v={'x' * 900} level=warning"
    }


def test_the_file_is_private_and_no_link_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "a.log"
    before = os.umask(0)
    try:
        log.configure("warning", "console", str(target))
        log.get_logger().warning("one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    link = tmp_path / "link.log"
    link.symlink_to(victim)
    done = run(
        f"log.configure('warning', 'console', {str(link)!r}); logger.warning('one'); "
        f"logger.warning('two')"
    )
    assert victim.read_text() == "untouched"
    lines = done.stderr.splitlines()
    assert "cannot write log_file" in lines[0]
    assert [line.split()[1] for line in lines[1:]] == ["one", "two"]


def test_a_line_goes_to_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook or a test replaces sys.stderr after the import of autoinstr."""
    seen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", seen)
    log.get_logger().warning("hello")
    assert seen.getvalue().startswith("autoinstr: hello ")


def test_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", seen)
    for _ in range(3):
        log.write_once("a", "warning", "first")
        log.write_once("b", "error", "second")
        log.write_once("c", "debug", "never")
    assert [line.split()[1] for line in seen.getvalue().splitlines()] == ["first", "second"]


def test_nothing_is_printed_on_stdout() -> None:
    """Code that runs in the user's process must not use print, or sys.stdout."""
    package = ROOT / "autoinstr"
    files = [*package.glob("base/**/*.py"), *package.glob("config/**/*.py")]
    assert len(files) > 20
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            assert not (isinstance(node, ast.Name) and node.id == "print"), file
            assert not (isinstance(node, ast.Attribute) and node.attr == "stdout"), file
