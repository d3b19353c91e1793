"""A running server: a window of steps on demand, and figures on vLLM's own /metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest

from tests.conftest import REPO, clean_environment
from tests.vllm.engines import Place, ending_all
from tests.vllm.served import free_port, post, wait_until_healthy

REQUESTS = ((3, 9), (5, 4), (2, 1))  # words of the prompt, tokens of the answer


class Live(NamedTuple):
    """What was seen of a server. `window` is the output of `ctl window`, `after_window` the report
    of the run then; `metrics` is the text of /metrics, `report` that of the whole run."""

    window: subprocess.CompletedProcess[str]
    after_window: dict[str, Any]
    states: str
    metrics: str
    report: dict[str, Any]
    recordings: set[str]


def run_cli(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoinstr", *words],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def read_report(place: Place) -> dict[str, Any]:
    done = run_cli(place, "report", str(place.out), "--format", "json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    place = Place(
        tmp_path_factory.mktemp("live") / "agent",
        agent=True,
        flags=["--when", "manual", "--metrics", "prometheus"],
    )
    port = free_port()
    server = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    server += ["--host=127.0.0.1", f"--port={port}", "--max-model-len=512", "--max-num-seqs=4"]
    server += [f"--kv-cache-memory-bytes={64 << 20}", "--enforce-eager"]
    base = f"http://127.0.0.1:{port}"
    started: list[subprocess.Popen[str]] = []
    with ending_all(started):
        started.append(place.start(*server, pipe=False))
        wait_until_healthy(base, started[0], place)

        is_over = Event()

        def generate() -> None:
            while not is_over.is_set():
                with post(base, model, "a long one", 200) as answer:
                    answer.read()

        load = Thread(target=generate)
        load.start()
        try:
            window = run_cli(place, "ctl", "window", str(place.out), "2:5")
            after_window = read_report(place)
        finally:
            is_over.set()
            load.join()
        states = run_cli(place, "ctl", "status", str(place.out)).stdout
        assert run_cli(place, "ctl", "on", str(place.out)).returncode == 0
        for words, tokens in REQUESTS:
            with post(base, model, "word " * words, tokens) as answer:
                json.load(answer)
        time.sleep(3)  # each process looks at its recording once a second
        with urllib.request.urlopen(f"{base}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
        report = read_report(place)
        os.kill(started[0].pid, signal.SIGTERM)
        started[0].wait(timeout=120)
        names = {process["role"] for process in report["processes"]}
        yield Live(window, after_window, states, metrics, report, names)


def test_all_processes_record_the_same_steps(live: Live) -> None:
    assert live.window.returncode == 0, live.window.stderr
    lines = live.window.stdout.splitlines()
    assert lines[0].endswith("a window of 2 processes"), live.window.stdout
    spans = [line.partition("steps ")[2].partition(",")[0] for line in lines[1:-1]]
    assert len(set(spans)) == 1, live.window.stdout
    assert lines[-1].startswith("next: autoinstr report ")
    first, last = map(int, spans[0].split(" to "))
    assert last - first + 1 == 5
    executed = [step for step in live.after_window["steps"] if step["execute_ns"] is not None]
    assert len(executed) == 5
    assert live.recordings == {"APIServer", "EngineCore", "Worker"}


def test_the_processes_are_quiet_again(live: Live) -> None:
    """They went on answering; nothing of it was recorded."""
    rows = [line.split() for line in live.states.splitlines()[1:]]
    assert len(rows) == 3
    assert all("off" in row for row in rows), live.states
    calls = Counter(row["class"] for row in live.after_window["rows"] for _ in range(row["calls"]))
    assert calls["Qwen2ForCausalLM"] == 5


def read_counts(text: str, name: str, label: str | None = None) -> dict[str, float]:
    from prometheus_client.parser import text_string_to_metric_families

    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                key = sample.labels[label] if label else ""
                counts[key] = counts.get(key, 0) + sample.value
    return counts


def test_vllms_own_metrics_have_the_figures_of_all_processes(live: Live) -> None:
    """Counts are those of the recording exactly; sums agree with it."""
    assert "vllm:" in live.metrics
    steps = [step for step in live.report["steps"] if step["duration_ns"] is not None]
    phases = Counter(step["phase"] for step in steps)
    counts = read_counts(live.metrics, "autoinstr_step_seconds_count", "phase")
    assert counts == phases
    sums = read_counts(live.metrics, "autoinstr_step_seconds_sum", "phase")
    for phase in phases:
        total = sum(step["duration_ns"] for step in steps if step["phase"] == phase)
        assert sums[phase] == pytest.approx(total / 1e9, rel=0.05)
    requests = live.report["requests"]
    for name, column in (
        ("time_to_first_token", "ttft_ns"),
        ("time_per_output_token", "tpot_ns"),
        ("queue", "queue_ns"),
    ):
        values = [request[column] for request in requests if request[column] is not None]
        assert len(values) >= len(REQUESTS) - 1
        prefix = f"autoinstr_{name}_seconds"
        assert read_counts(live.metrics, f"{prefix}_count") == {"": len(values)}, name
        total = read_counts(live.metrics, f"{prefix}_sum")[""]
        assert total == pytest.approx(sum(values) / 1e9, rel=0.01)
    modules = read_counts(live.metrics, "autoinstr_module_seconds_count", "class")
    calls = Counter(row["class"] for row in live.report["rows"] for _ in range(row["calls"]))
    for name in ("Qwen2ForCausalLM", "Qwen2DecoderLayer", "Qwen2MLP"):
        assert modules[name] == calls[name]
    ranges = sum(row["calls"] for row in live.report["rows"])
    assert sum(read_counts(live.metrics, "autoinstr_ranges_total").values()) == ranges


def test_no_text_of_a_request_is_shown(live: Live) -> None:
    own_lines = [line for line in live.metrics.splitlines() if line.startswith("autoinstr_")]
    assert own_lines
    assert not any("word" in line or "cmpl-" in line for line in own_lines)
