"""The metrics as data: name, help, kind, labels and bounds. Prometheus and OTLP show the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.agent.metrics.histogram import count_up_to
from autoinstr.agent.metrics.snapshot import COUNTER_LABELS, GAUGE_LABELS, HISTOGRAM_LABELS

if TYPE_CHECKING:
    from autoinstr.agent.metrics.histogram import Histogram

# Binary digits of nanoseconds: 131 µs to 137 s, and 1 µs to 17 s for modules.
_STEP_DIGITS = tuple(range(17, 38))
_MODULE_DIGITS = tuple(range(10, 36, 2))


class Family(NamedTuple):
    """One metric. `digits` are the bounds of a histogram, as binary digits of nanoseconds."""

    key: str  # in a snapshot
    name: str
    help: str
    kind: str  # histogram, counter or gauge
    labels: tuple[str, ...]
    digits: tuple[int, ...] = ()

    @property
    def bounds_s(self) -> list[float]:
        """The upper bounds of the buckets in seconds, without infinity."""
        return [(1 << digits) / 1e9 for digits in self.digits]

    def count_buckets(self, histogram: Histogram) -> list[int]:
        """Return the cumulative counts of the buckets, the last one with all."""
        counts = [count_up_to(histogram, digits) for digits in self.digits]
        return [*counts, histogram.count]


def _make_histogram(key: str, name: str, text: str) -> Family:
    digits = _MODULE_DIGITS if key == "module" else _STEP_DIGITS
    labels = ("process", *HISTOGRAM_LABELS[key])
    return Family(key, f"autoinstr_{name}_seconds", text, "histogram", labels, digits)


def _make_number(key: str, text: str) -> Family:
    kind = "counter" if key in COUNTER_LABELS else "gauge"
    labels = ("process", *{**COUNTER_LABELS, **GAUGE_LABELS}[key])
    return Family(key, f"autoinstr_{key}", text, kind, labels)


FAMILIES = (
    _make_histogram("step", "step", "Duration of a step, by phase"),
    _make_histogram("ttft", "time_to_first_token", "From arrival to the first output"),
    _make_histogram("tpot", "time_per_output_token", "Mean time per output token of a request"),
    _make_histogram("queue", "queue", "From the engine's queue to the first step"),
    _make_histogram("module", "module", "Duration of a call of the heaviest modules"),
    _make_number("ranges", "Ranges that have ended"),
    _make_number("dropped_ranges", "Ranges that are in no figure and no recording"),
    _make_number("requests_finished", "Requests that the engine has finished"),
    _make_number("recorder_on", "1 while ranges are recorded"),
)
