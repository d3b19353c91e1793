"""What the acceptance programs for GPU and NPU have in common: programs that run with and without
the agent, outcomes, and the report to send back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[1]
LIMIT_S = 600
MAX_LINE = 300  # characters of a program's last line
PROVED, FAILED, OPEN = "proved", "FAILED", "not tried"


class NotAvailable(Exception):
    """A program cannot run on this machine; the text says why."""


class AgentFailure(Exception):
    """A program fails under the agent and runs without it."""


class Outcome(NamedTuple):
    """One question, its answer, and the figures."""

    question: str
    state: str
    figures: str


def build_outcome(question: str, holds: bool, figures: str) -> Outcome:
    return Outcome(question, PROVED if holds else FAILED, figures)


def run_program(
    python: str, folder: Path, source: str, *words: str, agent: bool = True, **options: str
) -> dict[str, Any]:
    """Run a program in a new folder, under the agent, and return its result.json.

    Raise NotAvailable if it fails, AgentFailure if it fails under the agent only.
    """
    folder.mkdir()
    (folder / "program.py").write_text(source)
    gate = os.pathsep.join(
        filter(None, [str(REPO / "sitecustomize"), os.environ.get("PYTHONPATH")])
    )
    env = {**os.environ, "PYTHONPATH": gate, "AUTOINSTR": "1" if agent else "0", **options}
    process = run_command([python, "program.py", *words], env, folder)
    (folder / "stdout").write_text(process.stdout)
    (folder / "stderr").write_text(process.stderr)
    if process.returncode or not (folder / "result.json").exists():
        problem = read_last_line(process.stderr) or f"exit status {process.returncode}"
        if agent:
            other_folder = folder.with_name(f"{folder.name}-without")
            run_program(python, other_folder, source, *words, agent=False)
            raise AgentFailure(f"runs without the agent, and under it: {problem}")
        raise NotAvailable(problem)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def run_autoinstr(*words: str) -> dict[str, Any]:
    """Return the JSON that a command of autoinstr prints. Raise NotAvailable if it prints none."""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")])),
        "AUTOINSTR": "0",
    }
    process = run_command([sys.executable, "-m", "autoinstr", *words], env)
    if not process.stdout:
        problem = read_last_line(process.stderr) or f"autoinstr {words[0]} printed nothing"
        raise NotAvailable(problem)
    printed: dict[str, Any] = json.loads(process.stdout)
    return printed


def read_last_line(text: str) -> str:
    """Return the last line that is not blank, cut to 300 characters; "" if there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MAX_LINE] if lines else ""


def run_command(
    command: list[str], env: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output."""
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def run_checks(
    checks: Mapping[str, Callable[[], Iterator[Outcome]]], *errors: type[Exception]
) -> list[Outcome]:
    """Run checks one after the other. `errors` of a check, besides the usual ones, are failures."""
    begin_s = time.monotonic()
    outcomes: list[Outcome] = []
    for name, check in checks.items():
        print(f"{time.monotonic() - begin_s:4.0f} s  {name}", file=sys.stderr, flush=True)
        try:
            for outcome in check():
                outcomes.append(outcome)
        except NotAvailable as reason:
            outcomes.append(Outcome(name, OPEN, str(reason)))
        except AgentFailure as reason:
            outcomes.append(Outcome(name, FAILED, str(reason)))
        except (
            OSError,
            subprocess.TimeoutExpired,
            KeyError,
            IndexError,
            ValueError,
            *errors,
        ) as error:
            outcomes.append(Outcome(name, FAILED, f"{type(error).__name__}: {error}"))
    return outcomes


def format_report(
    title: str, facts: Iterable[str], outcomes: Iterable[Outcome], work: Path
) -> list[str]:
    """Return the lines of the report, without the path of the working folder."""
    lines = [f"# {title}", "", *facts, "", "| question | | figures |", "|---|---|---|"]
    for outcome in outcomes:
        figures = outcome.figures.replace("|", "/").replace(str(work), "…")
        lines.append(f"| {outcome.question} | {outcome.state} | {figures} |")
    return lines


def finish(
    report: list[str], outcomes: Iterable[Outcome], output: str, work: Path, *, keep: bool
) -> int:
    """Write and print the report, remove the working folder, and return the exit status.

    The folder stays after a failure, or with `keep`, and its path is printed."""
    Path(output).write_text("\n".join(report) + "\n")
    print("\n".join(report))
    has_failed = any(outcome.state == FAILED for outcome in outcomes)
    if has_failed or keep:
        print(f"the working folder is {work}", file=sys.stderr)
    else:
        shutil.rmtree(work, ignore_errors=True)
    return int(has_failed)
