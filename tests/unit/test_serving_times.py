"""Steps and requests of the metrics equal those of the report, event by event."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from autoinstr.agent.metrics.serving_times import MAX_REASONS, ServingTimes
from autoinstr.analysis.serving import read_requests, read_steps
from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run
from tests.conftest import REPO
from tests.support.annotated import Entry, mark, step_of, write

STUB = """\
import os
from prometheus_client import REGISTRY, CollectorRegistry

def get_prometheus_registry():
    return CollectorRegistry() if os.environ.get("SEVERAL") else REGISTRY
"""
SCRAPE = """\
import sys
from autoinstr.agent.metrics.prometheus import SnapshotCollector, follow_vllm
from autoinstr.agent.metrics.snapshot import Snapshot
from autoinstr.instrument import importhook

snapshot = Snapshot()
snapshot.add_number("ranges", ("Worker rank 0",), 7)
served = []
follow_vllm(SnapshotCollector(lambda: snapshot), lambda: served.append(1))
importhook.install()
from vllm.v1.metrics.prometheus import get_prometheus_registry
from prometheus_client import generate_latest
for _ in range(2):
    text = generate_latest(get_prometheus_registry()).decode()
    assert text.count('autoinstr_ranges_total{process="Worker rank 0"} 7.0') == 1, text
print(len(served))
"""


class Names:
    """The names of a recording, as the recorder of its process has them."""

    def __init__(self, recording: Recording) -> None:
        self.names = recording.names

    def list_message_numbers(self) -> list[tuple[tuple[str, str, str], int]]:
        return [
            ((name.kind, name.domain, name.message), number)
            for number, name in self.names.items()
            if not name.cls
        ]


def replay(recording: Recording) -> ServingTimes:
    """Give the attributes of a recording to the metrics, in the order in which calls ended."""
    ends = {
        (thread, *words[index : index + 2]): words[index + 2]
        for thread, words in recording.read_blocks()
        for index in range(0, len(words), 3)
    }
    events = [
        (name, start, ends[thread, name, start], fields)
        for thread, name, start, fields in recording.read_attributes()
        if (thread, name, start) in ends
    ]
    serving = ServingTimes(Names(recording))  # type: ignore[arg-type]
    for event in sorted(events, key=lambda event: event[2]):
        serving.add(event)
    return serving


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An engine and its front end: the second step of a name is another step, one is cut off, and
    one request is aborted."""
    engine: list[Entry] = []
    steps = [
        ("a@0", "prefill", 2, 0),
        *((f"a@{n}", "decode", 0, 2) for n in range(3, 9)),
        ("a@0", "prefill", 1, 0),
        (None, "idle", 0, 0),
        (None, "idle", 0, 0),
    ]
    for number, (step, phase, prefills, decodes) in enumerate(steps):
        engine += step_of(1_000_000 + 20_000 * number, step, phase, prefills, decodes)
    engine.append(step_of(1_500_000, "b@0", "mixed", 1, 1)[0])
    times = {"queued": 900_000, "scheduled": 950_000, "first_token": 1_020_000}
    for request, tokens in (("a", 7), ("b", 1)):
        engine += [mark(time, f"request.{kind}", request=request) for kind, time in times.items()]
        fields: dict[str, Any] = {"output_tokens": tokens, "reason": "length"}
        engine.append(mark(1_160_000, "request.finished", request=request, **fields))
    engine.sort(key=lambda entry: entry.start)
    front = [
        mark(890_000, "request.arrived", request="a", waited_ns=5_000),
        mark(891_000, "request.arrived", request="b"),
        mark(1_030_000, "request.first_output", request="a"),
        mark(1_170_000, "request.completed", request="a", reason="length"),
    ]
    write(str(tmp_path), engine, pid=10, header={"roles": ["EngineCore"]})
    write(str(tmp_path), front, pid=11, header={"roles": ["APIServer"]})
    return tmp_path


def test_the_figures_are_those_of_the_report(run: Path) -> None:
    opened = open_run(str(run))
    figures = [replay(recording) for recording in opened.recordings]
    counts: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for serving in figures:
        for phase, histogram in serving.steps.items():
            counts[phase] += histogram.count
            sums[phase] += histogram.sum_ns
    steps = [step for step in read_steps(opened) if step.duration_ns is not None]
    assert counts == Counter(step.phase for step in steps)
    assert counts["prefill"] == 2
    assert sums == {
        phase: sum(step.duration_ns or 0 for step in steps if step.phase == phase)
        for phase in counts
    }
    requests = read_requests(opened)
    for name, column in (("ttft", "ttft_ns"), ("tpot", "tpot_ns"), ("queue", "queue_ns")):
        values = [value for request in requests if (value := getattr(request, column)) is not None]
        histograms = [getattr(serving, name) for serving in figures]
        assert sum(histogram.count for histogram in histograms) == len(values) > 0
        assert sum(histogram.sum_ns for histogram in histograms) == sum(values)


def test_reasons_are_bounded(run: Path) -> None:
    (engine,) = (
        recording for recording in open_run(str(run)).recordings if recording.role == "EngineCore"
    )
    serving = replay(engine)
    for number in range(100):
        serving._finish({}, 1, {"reason": f"reason {number}"})
    assert len(serving.endings) == MAX_REASONS + 1
    assert sum(serving.endings.values()) == 102


@pytest.mark.parametrize("several", ["", "1"])
def test_the_collector_is_in_the_registry_that_vllm_shows(tmp_path: Path, several: str) -> None:
    """In the multiprocess mode vLLM makes a registry for each server."""
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    folder = tmp_path
    for name in ("vllm", "v1", "metrics"):
        folder /= name
        folder.mkdir()
        (folder / "__init__.py").touch()
    (folder / "prometheus.py").write_text(STUB)
    done = subprocess.run(
        [sys.executable, "-c", SCRAPE],
        env={"PYTHONPATH": f"{REPO}:{tmp_path}", **({"SEVERAL": several} if several else {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
