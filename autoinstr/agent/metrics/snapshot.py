"""What one process has counted, as a JSON value, and the sum of several processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autoinstr.agent.metrics.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.agent.metrics.module_totals import ModuleTotals
    from autoinstr.agent.metrics.serving_times import ServingTimes

# Names of labels of each histogram and each number, after `process`.
HISTOGRAM_LABELS = {
    "step": ("phase",),
    "ttft": (),
    "tpot": (),
    "queue": (),
    "module": ("path", "class"),
}
COUNTER_LABELS = {"ranges": (), "dropped_ranges": (), "requests_finished": ("reason",)}
GAUGE_LABELS = {"recorder_on": ()}

Labels = tuple[str, ...]  # the process, then the values of the labels above


class Snapshot:
    """Histograms and numbers by name and labels."""

    def __init__(self) -> None:
        self.histograms: dict[str, dict[Labels, Histogram]] = {}
        self.numbers: dict[str, dict[Labels, int]] = {}

    def add_histogram(self, name: str, labels: Labels, histogram: Histogram) -> None:
        """Add a histogram to the one with these labels."""
        by_labels = self.histograms.setdefault(name, {})
        by_labels.setdefault(labels, Histogram()).merge(histogram.counts, histogram.sum_ns)

    def add_number(self, name: str, labels: Labels, number: int) -> None:
        """Add a number to the one with these labels."""
        by_labels = self.numbers.setdefault(name, {})
        by_labels[labels] = by_labels.get(labels, 0) + number

    def encode(self) -> bytes:
        """Return a text that `add_encoded` reads."""
        return json.dumps(
            {
                "histograms": [
                    [name, labels, histogram.dump()]
                    for name, by_labels in self.histograms.items()
                    for labels, histogram in by_labels.items()
                ],
                "numbers": [
                    [name, labels, number]
                    for name, by_labels in self.numbers.items()
                    for labels, number in by_labels.items()
                ],
            },
            separators=(",", ":"),
        ).encode()

    def add_encoded(self, content: bytes) -> None:
        """Add what another process has encoded. Raises ValueError, TypeError or KeyError."""
        fields: dict[str, Any] = json.loads(content)
        for name, labels, value in fields["histograms"]:
            histogram = Histogram()
            histogram.load(value)
            self.add_histogram(name, tuple(labels), histogram)
        for name, labels, number in fields["numbers"]:
            self.add_number(name, tuple(labels), int(number))


def build_snapshot(
    process: str,
    modules: ModuleTotals,
    serving: ServingTimes,
    dropped_count: int,
    is_on: bool,
) -> Snapshot:
    """Return the figures of this process, under the name `process`."""
    snapshot = Snapshot()
    for phase, histogram in serving.steps.items():
        snapshot.add_histogram("step", (process, phase), histogram)
    for name, histogram in (
        ("ttft", serving.ttft),
        ("tpot", serving.tpot),
        ("queue", serving.queue),
    ):
        if histogram.counts:
            snapshot.add_histogram(name, (process,), histogram)
    for series, histogram in modules.list_heaviest().items():
        snapshot.add_histogram("module", (process, *series), histogram)
    for reason, count in serving.endings.items():
        snapshot.add_number("requests_finished", (process, reason), count)
    snapshot.add_number("ranges", (process,), modules.range_count)
    snapshot.add_number("dropped_ranges", (process,), dropped_count)
    snapshot.add_number("recorder_on", (process,), int(is_on))
    return snapshot


def merge_encoded(contents: Iterable[bytes]) -> Snapshot:
    """Return the sum of the snapshots of several processes; one that is damaged is left out."""
    total = Snapshot()
    for content in contents:
        try:
            total.add_encoded(content)
        except (ValueError, TypeError, KeyError):
            continue
    return total
