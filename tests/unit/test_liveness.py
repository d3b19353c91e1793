"""Whether a recording's process still runs. Its number alone proves nothing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis import liveness
from autoinstr.base.process_facts import describe_process
from autoinstr.recording.reader import Recording
from tests.support.recordings import make_recording


def ended_child(*, reaped: bool = True) -> int:
    child = os.fork()
    if not child:
        os._exit(0)
    if reaped:
        os.waitpid(child, 0)
    else:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return child


def recorded(tmp_path: Path, pid: int, close: bool = False, **header: Any) -> Recording:
    return Recording(
        make_recording(str(tmp_path), [(0, "", "A", 10, 20)], pid=pid, close=close, header=header)
    )


def test_is_running() -> None:
    assert liveness.is_running(os.getpid())
    assert liveness.is_running(1)
    assert not liveness.is_running(ended_child())
    assert not liveness.is_running(1 << 40)


def test_a_process_that_nobody_has_waited_for_does_not_run() -> None:
    child = ended_child(reaped=False)
    try:
        assert not liveness.is_running(child)
    finally:
        os.waitpid(child, 0)


def test_a_number_that_was_given_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that started after the recording did not write it."""
    assert liveness.is_running(os.getpid(), time.perf_counter_ns())
    monkeypatch.setattr(liveness, "SLACK_NS", 0)
    assert not liveness.is_running(os.getpid(), 1), "this process began after the machine did"


def test_states(tmp_path: Path) -> None:
    here, gone = describe_process(), ended_child()
    ours = {"host": here["host"], "boot": here["boot"]}
    assert liveness.read_process_state(recorded(tmp_path, os.getpid(), **ours)) == liveness.ALIVE
    assert (
        liveness.read_process_state(recorded(tmp_path, os.getpid(), close=True, **ours))
        == liveness.ENDED
    )
    assert liveness.read_process_state(recorded(tmp_path, gone, **ours)) == liveness.KILLED
    assert (
        liveness.read_process_state(recorded(tmp_path, os.getpid(), host=here["host"]))
        == liveness.ALIVE
    ), "an older recording names no boot"
    assert (
        liveness.read_process_state(recorded(tmp_path, os.getpid(), host="elsewhere"))
        == liveness.ON_OTHER_HOST
    )
    assert (
        liveness.read_process_state(
            recorded(tmp_path, gone, host="a container of this machine", boot=here["boot"])
        )
        == liveness.ON_OTHER_HOST
    )
    if here["boot"]:
        assert (
            liveness.read_process_state(
                recorded(tmp_path, os.getpid(), host=here["host"], boot="an earlier one")
            )
            == liveness.KILLED
        )
        assert (
            liveness.read_process_state(
                recorded(
                    tmp_path, os.getpid(), host="a container of this machine", boot=here["boot"]
                )
            )
            == liveness.ALIVE
        )


def test_a_process_in_a_container_is_known_by_its_own_number(tmp_path: Path) -> None:
    """A container has the host's name with `docker run --net=host`."""
    namespaces = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*namespaces, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces can be made here")
    free = next(number for number in range(2, 1 << 15) if not os.path.exists(f"/proc/{number}"))
    waiting = f'until sh -c "test \\$\\$ -ge {free} && echo \\$\\$ && cat"; do :; done'
    with subprocess.Popen(
        [*namespaces, "sh", "-c", waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as container:
        assert container.stdin is not None and container.stdout is not None
        pid = int(container.stdout.readline())
        assert not os.path.exists(f"/proc/{pid}")
        one = recorded(
            tmp_path, pid, host=describe_process()["host"], boot=describe_process()["boot"]
        )
        assert liveness.read_process_state(one) == liveness.ALIVE
        container.stdin.close()
    assert liveness.read_process_state(one) == liveness.KILLED
