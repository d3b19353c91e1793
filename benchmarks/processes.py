"""Start the contenders' processes and measure them in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import contenders
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Turn

# sys.path instead of PYTHONPATH: with the checkout on PYTHONPATH, every contender would load its
# sitecustomize.
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(contenders.REPO)!r}); "
    "from benchmarks import worker; worker.main()"
)


class Process:
    """One process of a contender with one workload.

    `problem` says why it cannot run. `calls` is the number of module calls in one run.
    """

    def __init__(
        self, contender: Contender, work: str, folder: Path, environ: dict[str, str]
    ) -> None:
        self.contender = contender
        self.recordings = folder / "out"
        self.problem = ""
        self.calls = 0
        python = contenders.REPO / contender.venv / "bin" / "python"
        folder.mkdir(parents=True)
        self._log = folder / "log"
        if not python.exists():
            reason = python.parents[1] / "unavailable"
            self.problem = reason.read_text().strip() if reason.exists() else f"no {contender.venv}"
            return
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [str(python), "-c", _PROGRAM, contender.rival, work],
                env={**contenders.build_environment(contender, str(self.recordings)), **environ},
                cwd=folder,  # torch_npu's profiler writes into the working directory
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait_until_ready(self) -> bool:
        """Wait until the workload is prepared; return False if it cannot run."""
        if not self.problem:
            answer = self._read_answer()
            self.problem, self.calls = answer.get("cannot", ""), answer.get("calls", 0)
        return not self.problem

    def send_request(self, line: str = "") -> dict[str, Any]:
        """Send a line to the process and return its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the answer says why
        return self._read_answer()

    def _read_answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            log_lines = self._log.read_text(errors="replace").strip().splitlines()
            status = f"it ended with status {self._process.wait()}"
            return {"cannot": log_lines[-1] if log_lines else status}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def finish(self) -> int:
        """End the process; return the number of module calls that it made."""
        if not hasattr(self, "_process"):
            return 0
        try:
            output = self._process.communicate()[0].strip()
        except BrokenPipeError:
            return 0
        if not output or self.problem:
            return 0
        return int(json.loads(output.splitlines()[-1]).get("made", 0))

    def read_recordings(self) -> tuple[int, int]:
        """Return the number of module ranges in the recordings, and the bytes of the files."""
        from autoinstr.recording.run import open_run

        if not self.recordings.is_dir():
            return 0, 0
        ranges = size = 0
        for recording in open_run(str(self.recordings)).recordings:
            modules = {
                number for number, name in recording.names.items() if name.domain == "Module"
            }
            for _, words in recording.read_blocks():
                ranges += sum(name in modules for name in words[::3])
            size += os.path.getsize(recording.file)
        return ranges, size


@contextmanager
def start_generation(
    rows: list[Contender], work: str, environ: dict[str, str], parallel: int
) -> Iterator[list[Process]]:
    """Start a fresh process for each contender and wait until all are ready.

    `parallel` processes start at a time. `environ` is added to their environment.
    """
    with tempfile.TemporaryDirectory(prefix="autoinstr-bench-") as scratch, ExitStack() as stack:
        processes: list[Process] = []
        for number, contender in enumerate(rows):
            if number >= parallel:
                processes[number - parallel].wait_until_ready()
            processes.append(Process(contender, work, Path(scratch, str(number)), environ))
            stack.callback(processes[-1].finish)
        for process in processes[-parallel:]:
            process.wait_until_ready()
        yield processes


def measure(
    rows: list[Contender],
    work: str,
    rounds: int,
    generations: int,
    environ: dict[str, str],
    parallel: int = 2,
) -> dict[str, Figure]:
    """Measure all contenders with one workload; return the figures by name.

    There are `generations` of fresh processes. The turns of the contenders are interleaved, with
    `rounds` turns each.
    """
    figures = {contender.name: Figure() for contender in rows}
    for number in range(generations):
        with start_generation(rows, work, environ, parallel) as processes:
            for process in processes:
                if process.problem:
                    figures[process.contender.name].problem = process.problem
            running = [process for process in processes if not process.problem]
            turns: dict[str, list[Turn]] = {process.contender.name: [] for process in running}
            for turn in range(rounds):
                _show_progress(
                    f"{work}: processes {number + 1} of {generations}, round {turn + 1} of {rounds}"
                )
                for process in running if turn % 2 else running[::-1]:
                    name = process.contender.name
                    answer = process.send_request()
                    if "cannot" in answer:
                        process.problem = figures[name].problem = f"{work}: {answer['cannot']}"
                        continue
                    turns[name].append(Turn(answer["min"], answer["median"]))
                running = [process for process in running if not process.problem]
            for process in running:
                name = process.contender.name
                calls, (ranges, _) = process.finish(), process.read_recordings()
                if process.contender.is_recorded and ranges != calls:
                    raise SystemExit(
                        f"{name}, {work}: the reader found {ranges} ranges, {calls} calls were made"
                    )
                figures[name].add_process(turns[name], process.calls)
                figures[name].ranges += ranges
    _show_progress("")
    return figures


def weigh(
    rows: list[Contender], calls: int, environ: dict[str, str]
) -> dict[str, dict[str, float]]:
    """Return the memory and disk space in megabytes per million module ranges, by contender."""
    weights: dict[str, dict[str, float]] = {}
    for contender in rows:
        _show_progress(f"memory and disk: {contender.name}")
        with start_generation([contender], "leaf", environ, 1) as (process,):
            if process.problem:
                continue
            file = str(process.recordings.parent / "saved.json")
            answer = process.send_request(f"weigh {calls} {file}")
            process.finish()
            ranges, size = process.read_recordings()
            disk = size / ranges if ranges else answer["disk"] / answer["calls"]
            weights[contender.name] = {
                "anon": answer["anon"] / answer["calls"],
                "file": answer["file"] / answer["calls"],
                "disk": disk,
            }
    _show_progress("")
    return weights


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
