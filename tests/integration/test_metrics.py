"""The option `metrics` on a real program: a real scrape, a real OTLP endpoint, and the recording of
the same run beside them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from autoinstr.agent.metrics.families import FAMILIES
from tests.conftest import GATE, REPO, clean_environment
from tests.support import recorded

PROGRAM = REPO / "tests" / "programs" / "measured.py"
STEPS = 40
MODULE_FAMILY = next(family for family in FAMILIES if family.key == "module")

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Measured:
    """A program with metrics, which has trained and waits."""

    def __init__(self, folder: Path, path: Path | None = None, **variables: str) -> None:
        """`path` is one more folder of PYTHONPATH."""
        self.folder, self.out = folder, folder / "run"
        paths = os.pathsep.join(map(str, filter(None, (GATE, path))))
        options = {"AUTOINSTR": "1", "AUTOINSTR_OUT": str(self.out), **variables}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), str(STEPS)],
            env=clean_environment(PYTHONPATH=paths, **options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 90
        while not (folder / "done").exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def finish(self) -> tuple[int, str, list[str]]:
        """Return exit status, standard output, and the lines of the agent."""
        (self.folder / "stop").touch()
        out, err = self.process.communicate(timeout=60)
        lines = [line for line in err.splitlines() if line.startswith("autoinstr")]
        return self.process.returncode, out.strip(), lines


def scrape(port: int) -> dict[str, Any]:
    """Return the families of metrics, once the port answers with all steps."""
    from prometheus_client.parser import text_string_to_metric_families

    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, OSError):
            text = ""
        families = {family.name: family for family in text_string_to_metric_families(text)}
        if "autoinstr_step_seconds" in families:
            count = find(families, "autoinstr_step_seconds", "_count")
            if count == STEPS - 1:
                return families
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def find(families: dict[str, Any], name: str, ending: str, **labels: str) -> float:
    """Return the sum of the samples with these labels."""
    return sum(
        sample.value
        for sample in families[name].samples
        if sample.name == name + ending and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize("emitter", ["recorder", "metrics"])
def test_figures_equal_the_recording(tmp_path: Path, emitter: str) -> None:
    """A duration is in the bucket that the recording says. With emitter=metrics nothing is on
    disk."""
    port = free_port()
    program = Measured(
        tmp_path,
        AUTOINSTR_METRICS="prometheus",
        AUTOINSTR_METRICS_ADDRESS=str(port),
        AUTOINSTR_EMITTER=emitter,
    )
    families = scrape(port)
    status, _, lines = program.finish()
    assert (status, lines) == (0, [])
    module = "autoinstr_module_seconds"
    for path, cls, calls in (("", "Net", 1), ("layers.*", "Linear", 3), ("head", "ReLU", 1)):
        labels = {"path": path, "class": cls, "process": "MainProcess"}
        assert find(families, module, "_count", **labels) == calls * STEPS
    assert find(families, "autoinstr_dropped_ranges", "_total") == 0
    assert find(families, "autoinstr_recorder_on", "") == 1
    if emitter == "metrics":
        assert not program.out.exists()
        return
    recording = recorded.the_recording(program.out)
    ranges = recorded.ranges(recording)
    for bound, digits in zip(MODULE_FAMILY.bounds_s, MODULE_FAMILY.digits):
        within = find(families, module, "_bucket", path="layers.*", le=repr(bound))
        durations = [entry.end - entry.start for entry in ranges if entry.cls == "Linear"]
        assert within == sum(duration < 1 << digits for duration in durations)
    total = sum(entry.end - entry.start for entry in ranges if entry.cls == "Net")
    assert find(families, module, "_sum", path="") == pytest.approx(total / 1e9)
    record_count = sum(len(words) // 3 for _, words in recording.read_blocks())
    assert find(families, "autoinstr_ranges", "_total") == record_count - STEPS  # marks


@pytest.fixture
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """An OTLP endpoint: its port, and the bodies that it has got."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/metrics"
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_otlp_endpoint_gets_the_same_figures(
    tmp_path: Path, collector: tuple[int, list[bytes]]
) -> None:
    """The last export comes at the end of the process, whenever that is."""
    pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    port, bodies = collector
    program = Measured(
        tmp_path,
        AUTOINSTR_METRICS="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_SERVICE_NAME="trainer",
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
    )
    status, _, lines = program.finish()
    assert (status, lines) == (0, [])
    request = ExportMetricsServiceRequest.FromString(bodies[-1])
    (resource,) = request.resource_metrics
    attributes = {entry.key: entry.value for entry in resource.resource.attributes}
    assert attributes["service.name"].string_value == "trainer"
    (scope,) = resource.scope_metrics
    metrics = {metric.name: metric for metric in scope.metrics}
    (step,) = metrics["autoinstr_step_seconds"].histogram.data_points
    assert step.count == sum(step.bucket_counts) == STEPS - 1
    counts = {
        {label.key: label.value.string_value for label in point.attributes}["path"]: point.count
        for point in metrics["autoinstr_module_seconds"].histogram.data_points
    }
    assert counts == {"": STEPS, "layers.*": 3 * STEPS, "head": STEPS}
    (ranges,) = metrics["autoinstr_ranges"].sum.data_points
    recording = recorded.the_recording(program.out)
    record_count = sum(len(words) // 3 for _, words in recording.read_blocks())
    assert ranges.as_int == record_count - STEPS


def test_nothing_is_imported_while_the_option_is_off(tmp_path: Path) -> None:
    assert Measured(tmp_path).finish() == (0, "[]", [])


@pytest.mark.parametrize("kind", ["prometheus", "otlp"])
def test_a_missing_package_is_one_line(tmp_path: Path, kind: str) -> None:
    """The program goes on, and is recorded."""
    package = {"prometheus": "prometheus_client", "otlp": "opentelemetry"}[kind]
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / f"{package}.py").write_text("raise ImportError('not here')\n")
    program = Measured(tmp_path, tmp_path / "hidden", AUTOINSTR_METRICS=kind)
    time.sleep(1)
    status, _, lines = program.finish()
    assert status == 0
    assert len(lines) == 1
    assert re.match(r"autoinstr: metrics are off: a package is missing .*pip install", lines[0])
    assert len(recorded.ranges(recorded.the_recording(program.out))) == 5 * STEPS


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = Measured(
            tmp_path, AUTOINSTR_METRICS="prometheus", AUTOINSTR_METRICS_ADDRESS=str(port)
        )
        time.sleep(4.5)
        status, _, lines = program.finish()
    assert (status, len(lines)) == (0, 1)
    assert f"metrics have no port: set metrics_address address=127.0.0.1:{port}" in lines[0]


@pytest.mark.parametrize("text", ["nowhere", "127.0.0.1:99999", ":80x", "a b:80"])
def test_a_wrong_address_is_one_line(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autoinstr", "run", "--metrics-address", text, "--", "true"],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "must be host:port or a port" in done.stderr
