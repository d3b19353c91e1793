"""A server for half an hour under load, recording in a ring: nothing grows, the end is there, and
profiles and switching still work.

Once a minute the clients rest for three seconds. Under load that never rests, vLLM 0.32 itself
grows, with us and without, by about 400 bytes a request of 24 tokens in EngineCore and Worker each:
its SpinCondition (distributed/device_communicators/shm_broadcast.py) gets a ZeroMQ message a step
and does not look at its socket until it has had nothing to read for a second, so that 656 bytes of
ZeroMQ's command queue stay for every sixteen of them. A rest of a second frees them.

AUTOINSTR_SOAK_MINUTES shortens it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run
from tests.conftest import REPO, clean_environment
from tests.vllm.engines import Place, ending_all
from tests.vllm.profiled import SERVER, Client, process_of, starts

MINUTES = float(os.environ.get("AUTOINSTR_SOAK_MINUTES", "30"))
EVERY_S = 10
REST_EVERY_S, REST_S = 60, 3
MAX_MB = 4
SECOND = 10**9
pytestmark = [pytest.mark.long, pytest.mark.timeout(60 * MINUTES + 1800)]


class Soaked(NamedTuple):
    """`samples`: role -> threads, files and memory every ten seconds; `ended_ns` is the
    perf_counter time when the load did."""

    samples: dict[str, list[dict[str, int]]]
    requests: int
    statuses: list[int]
    recordings: dict[str, Recording]
    ended_ns: int
    off: tuple[int, int]  # from when to when it was switched off
    traces: list[Path]


@pytest.fixture(scope="module")
def soaked(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    place = Place(
        tmp_path_factory.mktemp("soak") / "agent",
        agent=True,
        flags=["--full=ring", f"--max-mb={MAX_MB}", "--when=manual"],
    )
    place.environ["AUTOINSTR_PROFILER"] = "with_stack=false"
    place.out.mkdir()
    (place.out / "control").write_text("on\n")
    client = Client(model)
    over = threading.Event()
    answered = [0, 0, 0]

    def load(number: int) -> None:
        while not over.is_set():
            if time.monotonic() % REST_EVERY_S < REST_S:
                time.sleep(0.1)
                continue
            client.generate(24)
            answered[number] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(len(answered))]
    started: list[subprocess.Popen[str]] = []
    with ending_all(started):
        started.append(
            place.start(*SERVER, "--model", str(model), f"--port={client.port}", pipe=False)
        )
        client.wait(started[0], place)
        pids = {"APIServer": started[0].pid}
        for child in psutil.Process(started[0].pid).children(recursive=True):
            for role in ("EngineCore", "Worker"):
                if " ".join(child.cmdline()).startswith(f"VLLM::{role}"):
                    pids[role] = child.pid
        samples: dict[str, list[dict[str, int]]] = {role: [] for role in pids}
        for thread in threads:
            thread.start()
        try:
            end = time.monotonic() + 60 * MINUTES
            while time.monotonic() < end:
                time.sleep(EVERY_S)
                for role, pid in pids.items():
                    samples[role].append(process_of(pid))
            control(place, "off")
            off = time.perf_counter_ns()
            time.sleep(5 + REST_S)
            on = time.perf_counter_ns()
            control(place, "on")
            time.sleep(5 + REST_S)
            statuses = [client.post("/start_profile"), client.post("/stop_profile")]
        finally:
            over.set()
            for thread in threads:
                thread.join()
        ended = time.perf_counter_ns()
        started[0].terminate()
        started[0].wait(timeout=120)
    assert "autoinstr:" not in place.log(), place.log()[-2000:]
    run = open_run(str(place.out))
    traces = list((place.out / "profile").glob("*.pt.trace.json*"))
    soaked = Soaked(
        samples,
        sum(answered),
        statuses,
        {one.role: one for one in run.recordings},
        ended,
        (off, on),
        traces,
    )
    for role, its in samples.items():
        memory = [one["memory_kb"] for one in its[:: max(1, len(its) // 12)]]
        print(
            json.dumps(
                {
                    "role": role,
                    "requests": soaked.requests,
                    "first": its[len(its) // 6],
                    "last": its[-1],
                    "memory_kb": memory,
                }
            )
        )
    return soaked


def control(place: Place, word: str) -> None:
    """`autoinstr ctl`."""
    command = [sys.executable, "-m", "autoinstr", "ctl", word, str(place.out)]
    subprocess.run(command, check=True, cwd=REPO, env=clean_environment(), timeout=60)


def test_every_role_was_recorded_under_load(soaked: Soaked) -> None:
    assert (
        sorted(soaked.recordings) == sorted(soaked.samples) == ["APIServer", "EngineCore", "Worker"]
    )
    assert soaked.requests > 10 * MINUTES


def test_threads_and_files_are_flat(soaked: Soaked) -> None:
    for role, its in soaked.samples.items():
        settled = its[len(its) // 6 :]
        for what in ("threads", "files"):
            numbers = [sample[what] for sample in settled]
            assert max(numbers[-6:]) <= max(numbers[: len(numbers) // 2]), (role, what, numbers)


def test_memory_is_flat(soaked: Soaked) -> None:
    """Medians, because a garbage collection moves it: from the second sixth of the time to the
    last, by no more than 2 MB."""
    for role, its in soaked.samples.items():
        memory = [sample["memory_kb"] for sample in its]
        sixth = len(memory) // 6
        early, late = (
            sorted(memory[sixth : 2 * sixth])[sixth // 2],
            sorted(memory[-sixth:])[sixth // 2],
        )
        assert late - early < 2 * 1024, (role, memory)


def test_the_ring_holds_the_last_of_it(soaked: Soaked) -> None:
    for role, one in soaked.recordings.items():
        assert not one.problems, one.problems
        assert os.path.getsize(one.file) <= MAX_MB << 20
        found = starts(one)
        assert found and found[-1] > soaked.ended_ns - 5 * SECOND, role
    assert soaked.recordings["Worker"].dropped_count > 0, "the ring never went round"


def test_it_can_still_be_switched_and_profiled(soaked: Soaked) -> None:
    assert soaked.statuses == [200, 200]
    assert soaked.traces
    off, on = soaked.off
    for one in soaked.recordings.values():
        found = starts(one)
        assert not [start for start in found if off + 2 * SECOND < start < on], (
            "ranges while it was off"
        )
        assert [start for start in found if start > on + 2 * SECOND]
