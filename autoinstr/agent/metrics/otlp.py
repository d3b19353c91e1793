"""Sends figures to an OTLP endpoint, with the host's OpenTelemetry SDK.

The SDK reads its own variables: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME and so on. Each
process sends its own figures, cumulative from its start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.agent.metrics.families import FAMILIES
from autoinstr.base.system import calls
from autoinstr.recording.wall_clock import read_wall_clock_ns

if TYPE_CHECKING:
    from autoinstr.agent.metrics.families import Family
    from autoinstr.agent.metrics.histogram import Histogram
    from autoinstr.agent.metrics.snapshot import Snapshot

TIMEOUT_MS = 5_000


class OtlpSender:
    """Exports snapshots. `send` is called from one thread."""

    def __init__(self) -> None:
        """Make the exporter. Raises ImportError if the SDK or an exporter is missing."""
        from opentelemetry.sdk.metrics import export as export_module
        from opentelemetry.sdk.resources import Resource

        protocol = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or os.environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
        )
        self._exporter: Any
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
                OTLPMetricExporter as GrpcExporter,
            )

            self._exporter = GrpcExporter()
        else:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
                OTLPMetricExporter as HttpExporter,
            )

            self._exporter = HttpExporter()
        self._export: Any = export_module
        attributes: dict[str, Any] = {"process.pid": calls.getpid()}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            attributes["service.name"] = "autoinstr"
        self._resource = Resource.create(attributes)
        self._start_ns = read_wall_clock_ns()

    def send(self, snapshot: Snapshot) -> None:
        """Export one snapshot. The exporter logs what goes wrong on the way."""
        from opentelemetry import context
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        export: Any = self._export
        now_ns = read_wall_clock_ns()
        metrics = [
            metric
            for family in FAMILIES
            if (metric := self._make_metric(family, snapshot, now_ns)) is not None
        ]
        scope = export.ScopeMetrics(InstrumentationScope("autoinstr"), metrics, "")
        data = export.MetricsData([export.ResourceMetrics(self._resource, [scope], "")])
        # Instrumentation of HTTP clients does not follow the export.
        key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
        token = context.attach(context.set_value(key, True))
        try:
            self._exporter.export(data, timeout_millis=TIMEOUT_MS)
        finally:
            context.detach(token)

    def close(self) -> None:
        """Close the exporter."""
        self._exporter.shutdown(timeout_millis=TIMEOUT_MS)

    def _make_metric(self, family: Family, snapshot: Snapshot, now_ns: int) -> Any:
        export, cumulative = self._export, self._export.AggregationTemporality.CUMULATIVE
        if family.kind == "histogram":
            points = [
                self._make_point(family, labels, histogram, now_ns)
                for labels, histogram in snapshot.histograms.get(family.key, {}).items()
            ]
            data = export.Histogram(points, cumulative)
        else:
            points = [
                export.NumberDataPoint(
                    dict(zip(family.labels, labels)), self._start_ns, now_ns, number
                )
                for labels, number in snapshot.numbers.get(family.key, {}).items()
            ]
            is_counter = family.kind == "counter"
            data = export.Sum(points, cumulative, True) if is_counter else export.Gauge(points)
        unit = "s" if family.kind == "histogram" else "1"
        return export.Metric(family.name, family.help, unit, data) if points else None

    def _make_point(
        self, family: Family, labels: tuple[str, ...], histogram: Histogram, now_ns: int
    ) -> Any:
        cumulative = family.count_buckets(histogram)
        digits = histogram.counts
        return self._export.HistogramDataPoint(
            dict(zip(family.labels, labels)),
            self._start_ns,
            now_ns,
            histogram.count,
            histogram.sum_ns / 1e9,
            [high - low for low, high in zip([0, *cumulative], cumulative)],
            family.bounds_s,
            (1 << min(digits)) / 2e9,
            (1 << max(digits)) / 1e9,
        )
