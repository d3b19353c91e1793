"""Shows figures to Prometheus, through the host's prometheus_client.

In a vLLM server the figures of all its processes are on its own /metrics, also where vLLM uses the
multiprocess mode of prometheus_client."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from autoinstr.agent.metrics.families import FAMILIES
from autoinstr.base.guard import log_failure
from autoinstr.instrument import importhook

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Callable

    from autoinstr.agent.metrics.families import Family
    from autoinstr.agent.metrics.snapshot import Snapshot

REGISTRY_MODULE = "vllm.v1.metrics.prometheus"


class SnapshotCollector:
    """A collector of prometheus_client. It never raises."""

    def __init__(self, read_snapshot: Callable[[], Snapshot]) -> None:
        """`read_snapshot` returns the figures of all processes."""
        self._read_snapshot = read_snapshot

    def describe(self) -> list[Any]:
        """Return no names: a registry would otherwise collect at once to find them."""
        return []

    def collect(self) -> list[Any]:
        """Return the families of metrics."""
        try:
            snapshot = self._read_snapshot()
            return [_make_metric(family, snapshot) for family in FAMILIES]
        except Exception as error:
            log_failure("collecting metrics", error)
            return []


def _make_metric(family: Family, snapshot: Snapshot) -> Any:
    from prometheus_client import core

    metric: Any
    if family.kind == "histogram":
        metric = core.HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, histogram in snapshot.histograms.get(family.key, {}).items():
            bounds = [*(repr(bound) for bound in family.bounds_s), "+Inf"]
            buckets = list(zip(bounds, family.count_buckets(histogram)))
            metric.add_metric(labels, buckets, histogram.sum_ns / 1e9)
        return metric
    maker: Any = core.GaugeMetricFamily
    if family.kind == "counter":
        maker = core.CounterMetricFamily
    metric = maker(family.name, family.help, labels=family.labels)
    for labels, number in snapshot.numbers.get(family.key, {}).items():
        metric.add_metric(labels, number)
    return metric


def format_text(collector: SnapshotCollector) -> bytes:
    """Return what a scraper gets. Raises ImportError without prometheus_client."""
    from prometheus_client.exposition import generate_latest

    return generate_latest(collector)


def follow_vllm(collector: SnapshotCollector, note_served: Callable[[], None]) -> None:
    """Add the collector to the registry that vLLM shows, when it asks for it."""

    def wrap(module: ModuleType) -> None:
        original = getattr(module, "get_prometheus_registry", None)
        if original is None:
            return

        @functools.wraps(original)
        def get_prometheus_registry(*args: Any, **kwargs: Any) -> Any:
            registry = original(*args, **kwargs)
            try:
                if collector not in getattr(registry, "_collector_to_names", {}):
                    registry.register(collector)
                note_served()
            except Exception as error:
                log_failure("adding metrics to those of vLLM", error)
            return registry

        module.get_prometheus_registry = get_prometheus_registry  # type: ignore[attr-defined]

    importhook.register(REGISTRY_MODULE, wrap)
