"""Fifty profiles over HTTP under load: nothing grows that does not grow natively, no trace is
missing, nothing is dropped."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.support import recorded
from tests.vllm.engines import Place, ending_all
from tests.vllm.profiled import SERVER, Client, kinds, process_of, starts

PROFILES = 50
SETTLED = 10  # profiles after which pools and caches have their size
ROLES = ("APIServer", "EngineCore", "Worker")
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


class Soaked(NamedTuple):
    statuses: set[int]
    answered: int  # requests of the load
    samples: dict[str, list[dict[str, int]]]  # role -> one sample a profile
    folder: Path

    def growth(self, role: str, what: str) -> int:
        """From the tenth profile to the last; of memory by the median of ten, because a garbage
        collection moves it."""
        numbers = [sample[what] for sample in self.samples[role]]
        if what != "memory_kb":
            return numbers[-1] - numbers[SETTLED]
        return sorted(numbers[-10:])[5] - sorted(numbers[SETTLED : SETTLED + 10])[5]


def soak(client: Client, server: int, folder: Path) -> Soaked:
    """Profile again and again while another client asks without a pause."""
    by_title = {"VLLM::EngineCore": "EngineCore", "VLLM::Worker": "Worker"}
    pids = {"APIServer": server}
    for child in psutil.Process(server).children(recursive=True):
        for title, role in by_title.items():
            if " ".join(child.cmdline()).startswith(title):
                pids[role] = child.pid
    assert sorted(pids) == sorted(ROLES)
    over = threading.Event()
    answered = [0]

    def load() -> None:
        while not over.is_set():
            client.generate(16)
            answered[0] += 1

    thread = threading.Thread(target=load)
    thread.start()
    statuses = set()
    samples: dict[str, list[dict[str, int]]] = {role: [] for role in ROLES}
    try:
        for number in range(PROFILES):
            bounds = (
                {"max_iterations": 5} if number % 5 == 4 else None
            )  # then the others follow the Worker, with a thread
            statuses.add(client.post("/start_profile", bounds))
            client.generate(16)
            statuses.add(client.post("/stop_profile"))
            for role, pid in pids.items():
                samples[role].append(process_of(pid))
    finally:
        over.set()
        thread.join()
    return Soaked(statuses, answered[0], samples, folder)


@pytest.fixture(scope="module")
def soaked(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Soaked, Soaked, Path]:
    """A native server with the flag, then one with the agent and without it."""
    base = tmp_path_factory.mktemp("soak")
    found = []
    for name in ("native", "agent"):
        place = Place(base / name, agent=name == "agent")
        place.environ["AUTOINSTR_WHEN"] = "profiling"
        place.environ["AUTOINSTR_PROFILER"] = (
            "with_stack=false"  # fifty traces with stacks take an hour, natively too
        )
        folder = base / "traces" if name == "native" else place.out / "profile"
        flags = [
            "--profiler-config.profiler=torch",
            f"--profiler-config.torch_profiler_dir={folder}",
        ]
        flags.append("--profiler-config.torch_profiler_with_stack=false")
        client = Client(model)
        started: list[subprocess.Popen[str]] = []
        with ending_all(started):
            started.append(
                place.start(
                    *SERVER,
                    "--model",
                    str(model),
                    f"--port={client.port}",
                    *([] if place.agent else flags),
                    pipe=False,
                )
            )
            client.wait(started[0], place)
            found.append(soak(client, started[0].pid, folder))
            started[0].terminate()
            started[0].wait(timeout=60)
    for one, name in zip(found, ("native", "agent")):
        for role in ROLES:
            grown = {what: one.growth(role, what) for what in ("threads", "files", "memory_kb")}
            print(
                json.dumps(
                    {
                        "run": name,
                        "role": role,
                        "requests": one.answered,
                        "last": one.samples[role][-1],
                        "growth": grown,
                    }
                )
            )
    return found[0], found[1], base / "agent" / "run"


def test_every_start_and_stop_is_answered(soaked: tuple[Soaked, Soaked, Path]) -> None:
    assert [one.statuses for one in soaked[:2]] == [{200}, {200}]


def test_every_trace_is_there(soaked: tuple[Soaked, Soaked, Path]) -> None:
    native, agent, _ = soaked
    assert kinds(agent.folder) == kinds(native.folder)
    assert kinds(agent.folder)["rank0"] == PROFILES


@pytest.mark.parametrize("role", ROLES)
def test_threads_and_files_do_not_grow(soaked: tuple[Soaked, Soaked, Path], role: str) -> None:
    native, agent, _ = soaked
    for what in ("threads", "files"):
        assert agent.growth(role, what) <= max(0, native.growth(role, what)), (
            what,
            agent.samples[role],
        )


@pytest.mark.parametrize("role", ROLES)
def test_memory_grows_no_faster_than_natively(
    soaked: tuple[Soaked, Soaked, Path], role: str
) -> None:
    """A fifth of a MB a profile is what two native runs differ by."""
    native, agent, _ = soaked
    assert agent.growth(role, "memory_kb") <= native.growth(role, "memory_kb") + 200 * (
        PROFILES - SETTLED
    )


def test_nothing_is_dropped_and_every_process_has_ranges(
    soaked: tuple[Soaked, Soaked, Path],
) -> None:
    processes = {
        one.role: one for one in recorded.recordings(soaked[2])
    }  # which fails where anything was dropped
    assert sorted(processes) == sorted(ROLES)
    for one in processes.values():
        assert len(starts(one)) > PROFILES
