"""`make demo`: an unedited vLLM script under the agent, then its module table, its page and its
timeline.

Where vllm is not installed, an unedited transformers script. Needs no network: the model is made
here, with random weights."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable

REPO = Path(__file__).resolve().parents[1]
CACHE = REPO / ".cache"
LOG = CACHE / "demo.log"  # what the last command said
LIMIT_S = 900  # for the script; a machine that needs longer is not making progress

# What the engine logs, and what that means.
STAGES = (
    (re.compile(r"Resolved architecture"), "MainProcess has imported vLLM; it starts EngineCore"),
    (re.compile(r"Initializing a V1 LLM engine"), "EngineCore has imported vLLM; it starts Worker"),
    (re.compile(r"Starting to load model"), "Worker has imported vLLM; it loads the model"),
    (re.compile(r"init engine .* took"), "the engine is ready and generates"),
    (re.compile(r"^\d+ tokens for \d+ prompts"), "the script says: {line}"),
    (re.compile(r"^autoinstr: "), "{line}"),
    (re.compile(r"send sigterm to process EngineCore"), "vLLM stops its processes (a few seconds)"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--script", choices=("vllm", "transformers"), help="default: vllm where it is installed"
    )
    script = parser.parse_args().script or (
        "vllm" if importlib.util.find_spec("vllm") else "transformers"
    )
    os.chdir(REPO)
    CACHE.mkdir(exist_ok=True)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:5.1f} s  {text}", flush=True)

    if script == "transformers":
        say(
            "vllm is not used here (not installed, or --script): the demo runs a transformers script instead"
        )
    model = CACHE / "tiny-qwen2"
    if (model / "tokenizer_config.json").exists():
        say(f"tiny random Qwen2: {model.relative_to(REPO)}, made earlier")
    else:
        say(f"tiny random Qwen2: being made in {model.relative_to(REPO)}")
        if not quietly(
            [sys.executable, "examples/tiny_model.py", str(model)], {}, lambda line: None
        ):
            return 1
    out = Path("autoinstr-runs") / time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
    command = ["python", f"examples/offline_{script}.py", str(model.relative_to(REPO))]
    say(f"autoinstr run --out {out} -- {' '.join(command)}")

    def stage(line: str) -> None:
        for pattern, text in STAGES:
            if pattern.search(line):
                say(text.format(line=line))

    command[0] = sys.executable
    environ = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CACHE_ROOT": str(CACHE / "vllm"),
    }
    if not quietly(autoinstr("run", "--out", str(out), "--", *command), environ, stage):
        return 1
    say(f"autoinstr report {out}")
    print(flush=True)
    if subprocess.run(autoinstr("report", str(out)), check=False).returncode:
        print(
            f"demo: the script ended well, but its recording is not as it should be; the script's output is in {LOG}",
            file=sys.stderr,
        )
        return 1
    print(flush=True)
    for what, kind, name, how in (
        ("page", "html", "report.html", "open it in a browser"),
        ("timeline", "pftrace", "report.pftrace", "https://ui.perfetto.dev, Open trace file"),
    ):
        if not quietly(
            autoinstr("report", str(out), "--format", kind, "-o", str(out / name)),
            {},
            lambda line: None,
        ):
            return 1
        print(f"{what:15} {out / name}   ({how})")
    print(f"run directory   {out}")
    print("\nnext:")
    print(f"  .venv/bin/autoinstr report {out} --sort self   # the largest first")
    if script == "vllm":
        print(
            f"  .venv/bin/autoinstr report {out} --table steps   # each step of the engine; requests: each request"
        )
    print("  .venv/bin/autoinstr run -- python your_script.py   # a program of yours")
    return 0


def autoinstr(*words: str) -> list[str]:
    return [sys.executable, "-m", "autoinstr", *words]


def quietly(command: list[str], environ: dict[str, str], on_line: Callable[[str], None]) -> bool:
    """Run `command` and give each line of its output to `on_line`; where it fails, print all of
    that output. Leaves no process behind."""
    with open(LOG, "w+", encoding="utf-8", errors="replace") as log:
        # A session of its own, so that everything that the command started can be ended together.
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        read, late = threading.Event(), threading.Event()
        threading.Thread(target=watch, args=(process, read, late), daemon=True).start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                on_line(line.rstrip())
            status = process.wait()
        finally:
            read.set()
            end_group(process)
            process.wait()
        if status == 0 and not late.is_set():
            return True
        log.seek(0)
        shutil.copyfileobj(log, sys.stderr)
        why = f"it took longer than {LIMIT_S} s" if late.is_set() else f"exit status {status}"
        print(f"demo: this failed ({why}): {' '.join(command)}", file=sys.stderr)
        return False


def watch(process: subprocess.Popen[str], read: threading.Event, late: threading.Event) -> None:
    """End everything that is too slow, or that a process which has ended left behind with our pipe
    in its hands."""
    deadline = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        if read.wait(0.2):
            return
    if process.poll() is None:
        late.set()
    elif read.wait(10):
        return
    end_group(process)


def end_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
