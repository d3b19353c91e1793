"""Show autoinstr at work (`make demo`): a torch script first, then an unedited vLLM script.

The vLLM engine starts in the background while the torch script runs. Without vllm, an unedited
transformers script takes its place. Nothing is downloaded: the model is made here, with random
weights."""

from __future__ import annotations

import argparse
import importlib.util
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

REPO = Path(__file__).resolve().parents[1]
CACHE = REPO / ".cache"
LIMIT_S = 900  # for the serving script; a machine that needs longer makes no progress
HELLO_LINES = 14  # of the first table

# What vLLM logs while it starts, and what that means.
STAGES = (
    (re.compile(r"Resolved architecture"), "MainProcess has imported vLLM; it starts EngineCore"),
    (re.compile(r"Initializing a V1 LLM engine"), "EngineCore has imported vLLM; it starts Worker"),
    (re.compile(r"Starting to load model"), "Worker has imported vLLM; it loads the model"),
    (re.compile(r"Start compiling|Warming up model"), "Worker compiles the model (once a machine)"),
    (re.compile(r"init engine .* took"), "the engine is ready and generates tokens"),
    (re.compile(r"^\d+ tokens for \d+ prompts"), "the script prints: {line}"),
    (re.compile(r"^autoinstr: "), "{line}"),
    (re.compile(r"send sigterm to process EngineCore"), "vLLM stops its processes (seconds)"),
)


class CommandFailed(Exception):
    """A command of the demo failed; the message says which, why, and what it printed."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--script", choices=("vllm", "transformers"), help="default: vllm where it is installed"
    )
    arguments = parser.parse_args()
    has_vllm = importlib.util.find_spec("vllm") is not None
    script = arguments.script or ("vllm" if has_vllm else "transformers")
    os.chdir(REPO)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # byte code makes each further start faster
    CACHE.mkdir(exist_ok=True)
    start_s = time.monotonic()
    lines: queue.Queue[str] = queue.Queue()  # progress of the serving script

    def say(text: str) -> None:
        print(f"{time.monotonic() - start_s:5.1f} s  {text}", flush=True)

    run_directory = Path("autoinstr-runs") / time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
    name = f"examples/offline_{script}.py"
    say(f"in the background: {name} starts ({script}, a tiny random Qwen2)")
    with ThreadPoolExecutor(1) as background:
        serving = background.submit(run_serving_script, script, run_directory, lines.put)
        show_hello(say)
        say(f"{name}: autoinstr run --out {run_directory} -- python {name} …")
        while not serving.done() or not lines.empty():
            try:
                say(lines.get(timeout=0.2))
            except queue.Empty:
                pass
        serving.result()
    say(f"autoinstr report {run_directory}\n")
    subprocess.run(autoinstr("report", str(run_directory)), check=True)
    write_files(run_directory)
    print_next_steps(run_directory, script)
    return 0


def show_hello(say: Callable[[str], None]) -> None:
    """Run a torch script under the agent and print the head of its table."""
    run_directory = CACHE / "hello-run"
    shutil.rmtree(run_directory, ignore_errors=True)
    say("autoinstr run -- python examples/hello.py     # ten training steps of a small network")
    program = [sys.executable, "examples/hello.py"]
    run_quietly(autoinstr("run", "--out", str(run_directory), "--", *program), "hello")
    table = subprocess.run(
        autoinstr("report", str(run_directory)), check=True, capture_output=True, encoding="utf-8"
    )
    say("autoinstr report     # the host time of each module, all ten steps together")
    print()
    for line in table.stdout.splitlines()[:HELLO_LINES]:
        print(f"    {line}".rstrip())
    print(flush=True)


def run_serving_script(script: str, run_directory: Path, say: Callable[[str], None]) -> None:
    """Make the model, then run the script under the agent; `say` gets its stages."""
    model = CACHE / "tiny-qwen2"
    if not (model / "tokenizer_config.json").exists():
        run_quietly([sys.executable, "examples/tiny_model.py", str(model)], "model")
        say(f"the model is made: {model.relative_to(REPO)}")

    def say_stage(line: str) -> None:
        for pattern, text in STAGES:
            if pattern.search(line):
                say(text.format(line=line))

    environ = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CACHE_ROOT": str(CACHE / "vllm"),
    }
    program = [sys.executable, f"examples/offline_{script}.py", str(model)]
    if script == "vllm" and not shutil.which("g++"):
        say("without g++ vLLM cannot compile the model: --eager")
        program.append("--eager")
    command = autoinstr("run", "--out", str(run_directory), "--", *program)
    run_quietly(command, "demo", environ, say_stage)


def write_files(run_directory: Path) -> None:
    """Write the page and the timeline of the run, and say where they are."""
    print(flush=True)
    for label, file_format, name, hint in (
        ("page", "html", "report.html", "open it in a browser"),
        ("timeline", "pftrace", "report.pftrace", "https://ui.perfetto.dev, Open trace file"),
    ):
        path = run_directory / name
        command = autoinstr("report", str(run_directory), "--format", file_format, "-o", str(path))
        run_quietly(command, "report")
        print(f"{label:15} {path}   ({hint})")
    print(f"run directory   {run_directory}")


def print_next_steps(run_directory: Path, script: str) -> None:
    """Print commands that are useful after the demo."""
    print("\nnext:")
    print(f"  .venv/bin/autoinstr report {run_directory} --sort self   # the largest first")
    if script == "vllm":
        print(f"  .venv/bin/autoinstr report {run_directory} --table steps   # each engine step")
    print("  .venv/bin/autoinstr run -- python your_script.py   # your own program")


def autoinstr(*words: str) -> list[str]:
    """Return the command line of `autoinstr` with these words."""
    return [sys.executable, "-m", "autoinstr", *words]


def run_quietly(
    command: list[str],
    log_name: str,
    environ: dict[str, str] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a command, give each line of its output to `on_line`, and keep the output in a log.

    No process of the command is left behind. Raises CommandFailed with all output."""
    log_path = CACHE / f"{log_name}.log"
    with open(log_path, "w+", encoding="utf-8", errors="replace") as log:
        # A session of its own, so that everything that the command started can be ended together.
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        output_ended, timed_out = threading.Event(), threading.Event()
        threading.Thread(
            target=end_when_late, args=(process, output_ended, timed_out), daemon=True
        ).start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                on_line(line.rstrip())
            status = process.wait()
        finally:
            output_ended.set()
            end_group(process)
            process.wait()
        if status or timed_out.is_set():
            log.seek(0)
            why = f"took longer than {LIMIT_S} s" if timed_out.is_set() else f"exit status {status}"
            raise CommandFailed(f"{log.read()}\ndemo: failed ({why}): {' '.join(command)}")


def end_when_late(
    process: subprocess.Popen[str], output_ended: threading.Event, timed_out: threading.Event
) -> None:
    """End all processes of a command that takes too long, or that left one behind with our pipe."""
    deadline_s = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        if output_ended.wait(0.2):
            return
    if process.poll() is None:
        timed_out.set()
    elif output_ended.wait(10):
        return
    end_group(process)


def end_group(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the process group of a command."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CommandFailed, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
