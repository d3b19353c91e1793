"""Starts real vLLM engines, with the agent or without, several at a time; every wait is bounded and
no process is left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import REPO, clean_environment
from tests.support import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from autoinstr.recording.reader import Recording

EXAMPLES = REPO / "examples"
LIMIT_S = (
    600  # one engine takes 30 s on an idle machine; a shared one was seen to take six times as long
)


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder `name` of this session, which the first of its xdist workers makes; the
    others wait for it."""
    base = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder, made = base / name, base / f"{name}.made"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


class Place:
    """The folder of one run: where its cache, its counts, its log and (with the agent) its
    recordings lie."""

    # What vLLM found out about the model class in prepare.py. It is no part of the compile cache.
    model_infos: Path

    def __init__(
        self,
        folder: Path,
        *,
        agent: bool,
        plugins: Sequence[str] = (),
        cache: Path | None = None,
        flags: Sequence[str] = (),
        forked: bool = False,
    ) -> None:
        """plugins: names of functions in plugin.py. cache: of another run, to be used by this one
        too. flags: of `autoinstr run`. forked: EngineCore and Worker are forked, for a third of the
        processor time; plugins that look for the Worker by its name do not work then."""
        self.folder = folder
        self.agent = agent
        self.flags = flags
        self.out = folder / "run"
        self.cache = cache or folder / "cache"
        if cache is None:
            shutil.copytree(Place.model_infos, self.cache / "modelinfos")
        self.counts_folder = folder / "counts"
        self.counts_folder.mkdir(parents=True)
        self.log_file = folder / "log"
        packages = folder / "packages"
        metadata = packages / "tests_plugin-0.dist-info"
        metadata.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("plugin.py"), packages / "tests_plugin.py")
        (metadata / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: tests-plugin\nVersion: 0\n"
        )
        entries = "".join(
            f"{name} = tests_plugin:{name}\n" for name in ("count", "piecewise", "fork")
        )
        (metadata / "entry_points.txt").write_text(f"[vllm.general_plugins]\n{entries}")
        self.environ = clean_environment(
            PYTHONPATH=str(packages),
            TESTS_COUNTS=str(self.counts_folder),
            HF_HUB_OFFLINE="1",
            VLLM_CACHE_ROOT=str(self.cache),
            VLLM_NO_USAGE_STATS="1",
            VLLM_PLUGINS=",".join([*plugins, *(["fork"] if forked else [])]) or "none",
            # Two engines at a time: each would bind itself to the same core.
            VLLM_CPU_OMP_THREADS_BIND="nobind",
            OMP_NUM_THREADS="1",
        )

    def start(self, *arguments: str, pipe: bool = True) -> subprocess.Popen[str]:
        """`python ARGUMENTS`, leading a session, under `autoinstr run` where `agent`. stderr goes
        to the log, and stdout unless `pipe`."""
        command = [sys.executable, *arguments]
        environ = self.environ
        if self.agent:
            command = [
                sys.executable,
                "-m",
                "autoinstr",
                "run",
                "--out",
                str(self.out),
                *self.flags,
                "--",
                *command,
            ]
            # The checkout, in case the package is not installed here: `-m autoinstr` has to find
            # it.
            environ = {**environ, "PYTHONPATH": os.pathsep.join([environ["PYTHONPATH"], str(REPO)])}
        with open(self.log_file, "w", encoding="utf-8") as log:
            return subprocess.Popen(
                command,
                env=environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else log,
                stderr=log,
                start_new_session=True,
                encoding="utf-8",
            )

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def end_of_log(self, stdout: str = "") -> str:
        """For a message: the whole would be thousands of lines."""
        return "\n".join([*stdout.splitlines()[-40:], *self.log().splitlines()[-40:]])

    def counts(self) -> dict[str, int]:
        """Calls of forward in the one Worker, by class."""
        (file,) = self.counts_folder.iterdir()
        return dict(
            zip(("Qwen2ForCausalLM", "Qwen2DecoderLayer"), struct.unpack("QQ", file.read_bytes()))
        )


class Offline:
    """A run of a script that has ended well. `said` is the line of JSON that it printed, `tokens`
    the ids of each answer."""

    def __init__(self, place: Place, stdout: str) -> None:
        self.place = place
        self.said: dict[str, Any] = json.loads(
            next(line for line in stdout.splitlines() if line.startswith('{"tokens"'))
        )
        self.stdout = stdout
        self.tokens: list[list[int]] = self.said["tokens"]


def run_offline(
    model: Path,
    places: Sequence[Place],
    *arguments: str,
    script: Path = EXAMPLES / "offline_vllm.py",
) -> list[Offline]:
    """Run the script in all `places` at the same time. AssertionError with the log of one that
    fails."""
    started = []
    with ending_all(started):
        for place in places:
            started.append(place.start(str(script), str(model), "--json", *arguments))
        deadline = time.monotonic() + LIMIT_S
        ended = []
        for place, process in zip(places, started):
            stdout, _ = process.communicate(timeout=max(1, deadline - time.monotonic()))
            assert process.returncode == 0, (
                f"exit status {process.returncode}, agent={place.agent}\n{place.end_of_log(stdout)}"
            )
            ended.append(Offline(place, stdout))
    return ended


ROLES = ["EngineCore", "MainProcess", "Worker"]  # of the processes of an offline engine


def map_roles(out: Path) -> dict[str, Recording]:
    """Return the recordings of an offline run by role.

    EngineCore and Worker are one process where vLLM runs the Worker itself, as on CPUs before
    0.20."""
    recordings = recorded.recordings(out)
    by_role = {role: recording for recording in recordings for role in recording.roles}
    assert sorted(by_role) == ROLES
    assert sum(len(recording.roles) for recording in recordings) == len(ROLES)
    return by_role


def get_executor(processes: dict[str, Recording]) -> str:
    """Return the name of vLLM's executor in the names of targets."""
    return "uni" if processes["EngineCore"] is processes["Worker"] else "mp"


def module_calls(recording: Recording) -> list[recorded.Range]:
    """The closed ranges of module calls; functions have ranges in other domains."""
    domains = {(name.root, name.path, name.cls): name.domain for name in recording.names.values()}
    return [
        one
        for one in recorded.ranges(recording)
        if domains[one.root, one.path, one.cls] == "Module"
    ]


@contextmanager
def ending_all(processes: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Whatever happens, the processes and all that they started are ended: vLLM leaves orphans when
    its main process is killed."""
    try:
        yield
    finally:
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(timeout=30)
            if process.stdout is not None:
                process.stdout.close()
