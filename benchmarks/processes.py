"""Starts contenders' processes and asks them in turn."""

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

from benchmarks import contenders as c
from benchmarks.figures import Figure, Turn

# Not PYTHONPATH: with the checkout on it, its sitecustomize would be everybody's.
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(c.REPO)!r}); from benchmarks import worker; worker.main()"
)


class Process:
    """One contender at one work."""

    def __init__(
        self, contender: c.Contender, work: str, folder: Path, more: dict[str, str]
    ) -> None:
        self.contender = contender
        self.out = folder / "out"
        self.cannot = ""
        self.calls = 0
        python = c.REPO / contender.venv / "bin" / "python"
        folder.mkdir(parents=True)
        self._log = folder / "log"
        if not python.exists():
            why = python.parents[1] / "unavailable"
            self.cannot = why.read_text().strip() if why.exists() else f"no {contender.venv}"
            return
        environ = {**c.environment(contender, str(self.out)), **more}
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [str(python), "-c", _PROGRAM, contender.rival, work],
                env=environ,
                cwd=folder,  # torch_npu's profiler leaves folders behind
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ready(self) -> bool:
        """Wait until it has made its work ready; False where it cannot."""
        if not self.cannot:
            first = self._answer()
            self.cannot, self.calls = first.get("cannot", ""), first.get("calls", 0)
        return not self.cannot

    def ask(self, line: str = "") -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the answer is why
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or [
                f"it ended with status {self._process.wait()}"
            ]
            return {"cannot": last[0]}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> int:
        """Calls that it has made, all in all."""
        if not hasattr(self, "_process"):
            return 0
        try:
            rest = self._process.communicate()[0].strip()
        except BrokenPipeError:
            return 0
        return (
            int(json.loads(rest.splitlines()[-1]).get("made", 0)) if rest and not self.cannot else 0
        )

    def recorded(self) -> tuple[int, int]:
        """Module ranges that the reader finds, and bytes of the files."""
        from autoinstr.recording.reader import open_run

        if not self.out.is_dir():
            return 0, 0
        ranges = size = 0
        for recording in open_run(str(self.out)).recordings:
            modules = {
                number for number, name in recording.names.items() if name.domain == "Module"
            }
            for _, words in recording.blocks():
                ranges += sum(name in modules for name in words[::3])
            size += os.path.getsize(recording.file)
        return ranges, size


@contextmanager
def generation(
    rows: list[c.Contender], work: str, more: dict[str, str], at_once: int
) -> Iterator[list[Process]]:
    """A fresh process for each contender, all ready; `at_once` start at a time."""
    with tempfile.TemporaryDirectory(prefix="autoinstr-bench-") as scratch, ExitStack() as stack:
        processes: list[Process] = []
        for number, contender in enumerate(rows):
            if number >= at_once:
                processes[number - at_once].ready()
            processes.append(Process(contender, work, Path(scratch, str(number)), more))
            stack.callback(processes[-1].end)
        for process in processes[-at_once:]:
            process.ready()
        yield processes


def measure(
    rows: list[c.Contender],
    work: str,
    rounds: int,
    generations: int,
    more: dict[str, str],
    at_once: int = 2,
) -> dict[str, Figure]:
    """By name, what `generations` of fresh processes gave in `rounds` interleaved turns each."""
    figures = {contender.name: Figure() for contender in rows}
    for number in range(generations):
        with generation(rows, work, more, at_once) as processes:
            for process in processes:
                if process.cannot:
                    figures[process.contender.name].cannot = process.cannot
            able = [process for process in processes if not process.cannot]
            turns: dict[str, list[Turn]] = {process.contender.name: [] for process in able}
            for turn in range(rounds):
                _say(
                    f"{work}: processes {number + 1} of {generations}, round {turn + 1} of {rounds}"
                )
                for process in able if turn % 2 else able[::-1]:
                    answer = process.ask()
                    if "cannot" in answer:
                        process.cannot = figures[process.contender.name].cannot = (
                            f"{work}: {answer['cannot']}"
                        )
                        continue
                    turns[process.contender.name].append(Turn(answer["min"], answer["median"]))
                able = [process for process in able if not process.cannot]
            for process in able:
                made, (found, _) = process.end(), process.recorded()
                if process.contender.recorded and found != made:
                    raise SystemExit(
                        f"{process.contender.name}, {work}: the reader found {found} ranges, {made} calls were made"
                    )
                figure = figures[process.contender.name]
                figure.add(turns[process.contender.name], process.calls)
                figure.ranges += found
    _say("")
    return figures


def weigh(rows: list[c.Contender], calls: int, more: dict[str, str]) -> dict[str, dict[str, float]]:
    """Megabytes of memory and on disk per million module ranges, of those that keep any."""
    found: dict[str, dict[str, float]] = {}
    for contender in rows:
        _say(f"memory and disk: {contender.name}")
        with generation([contender], "leaf", more, 1) as (process,):
            if process.cannot:
                continue
            file = str(process.out.parent / "saved.json")
            answer = process.ask(f"weigh {calls} {file}")
            process.end()
            ranges, size = process.recorded()
            disk = size / ranges if ranges else answer["disk"] / answer["calls"]
            found[contender.name] = {
                "anon": answer["anon"] / answer["calls"],
                "file": answer["file"] / answer["calls"],
                "disk": disk,
            }
    _say("")
    return found


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
