"""Where figures go: to Prometheus (vLLM's /metrics, or a port), or to an OTLP endpoint."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from autoinstr.agent.metrics.http_port import HttpPort
from autoinstr.agent.metrics.prometheus import SnapshotCollector, follow_vllm, format_text
from autoinstr.agent.metrics.shared_folder import SharedFolder
from autoinstr.agent.metrics.snapshot import merge_encoded
from autoinstr.base import log
from autoinstr.base.system import calls, clocks

if TYPE_CHECKING:
    from autoinstr.agent.metrics.snapshot import Snapshot
    from autoinstr.agent.session import Session

FIRST_LOOK_S = 3.0  # by then a server of vLLM has shown that it is one
NEXT_LOOK_S = 10.0  # another process had the port; it may have ended
EXPORT_S = 10.0  # between two exports to OTLP
ENGINE_ROLES = frozenset(("EngineCore", "Worker"))


class Show(Protocol):
    """What the thread of service.py calls. No method but `prepare` raises ImportError."""

    port: HttpPort | None
    remedy: str  # what to do if a package is missing

    def prepare(self) -> None:
        """Import packages. Raises ImportError."""

    def update(self, snapshot: Snapshot) -> None:
        """Take the new figures of this process."""

    def look(self) -> None:
        """Do what is due; called once a second."""

    def reset_in_child(self) -> None:
        """Forget what is the parent's, after a fork."""

    def close(self) -> None:
        """Show the last figures, at the end of the process."""


class PrometheusShow:
    """All processes of a run on one machine are shown by one of them.

    That is vLLM's front end, on its own /metrics. Without one it is the first process that gets the
    port."""

    remedy = "pip install prometheus_client"

    def __init__(self, session: Session, host: str, port: int) -> None:
        self.port: HttpPort | None = None
        self._session = session
        self._address = host, port
        self._folder = SharedFolder(session.recording_file.run)
        self._collector = SnapshotCollector(self._read_all)
        self._is_served = False
        self._next_look_s = clocks.monotonic() + FIRST_LOOK_S
        follow_vllm(self._collector, self._note_served)

    def prepare(self) -> None:
        """Import prometheus_client."""
        import prometheus_client.core
        import prometheus_client.exposition  # noqa: F401

    def update(self, snapshot: Snapshot) -> None:
        """Put the figures of this process where all can read them."""
        try:
            self._folder.write(f"{calls.getpid()}.json", snapshot.encode())
        except FileNotFoundError:
            pass  # the first process of the run has ended, and nobody shows them any more

    def look(self) -> None:
        """Open the port, unless another process shows the figures."""
        if self.port is not None or self._is_served or clocks.monotonic() < self._next_look_s:
            return
        self._next_look_s = clocks.monotonic() + NEXT_LOOK_S
        if self._folder.is_served or self._is_served_by_vllm():
            return
        try:
            self.port = HttpPort(*self._address, self._format)
        except OSError as error:
            self._report_taken(error)
            return
        url = f"http://{self._address[0]}:{self._address[1]}/metrics"
        log.write_once("metrics port", "info", "metrics", url=url)

    def reset_in_child(self) -> None:
        """Close the parent's socket in this process."""
        if self.port is not None:
            self.port.close()
            self.port = None
        self._next_look_s = clocks.monotonic() + FIRST_LOOK_S

    def close(self) -> None:
        """Stop to listen. The last process of the run to end removes the folder."""
        if self.port is not None:
            self.port.close()
            self.port = None
        if self._session.is_first:
            self._folder.remove()

    def _is_served_by_vllm(self) -> bool:
        """Return whether a front end of vLLM shows the figures, or will."""
        roles = set(self._session.roles)
        is_engine = bool(ENGINE_ROLES & roles)
        if "APIServer" in roles or (is_engine and not self._session.is_first):
            return True
        names = [*sys.modules, *getattr(sys, "orig_argv", ())]
        return not is_engine and any(
            name.startswith("vllm.entrypoints.") and "api_server" in name for name in names
        )

    def _report_taken(self, error: OSError) -> None:
        """Log that the port cannot be opened, unless another process of the run has it."""
        if not self._session.is_first:
            return
        event = "metrics have no port: set metrics_address"
        address = f"{self._address[0]}:{self._address[1]}"
        log.write_once("metrics port", "warning", event, address=address, error=error.strerror)

    def _note_served(self) -> None:
        self._is_served = True
        self._folder.mark_served()

    def _read_all(self) -> Snapshot:
        return merge_encoded(self._folder.read_all())

    def _format(self) -> bytes:
        return format_text(self._collector)


class OtlpShow:
    """Each process sends its own figures."""

    port: HttpPort | None = None
    remedy = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"

    def __init__(self) -> None:
        self._sender: Any = None
        self._snapshot: Snapshot | None = None
        self._next_export_s = clocks.monotonic() + EXPORT_S

    def prepare(self) -> None:
        """Make the exporter. Raises ImportError without the SDK."""
        from autoinstr.agent.metrics.otlp import OtlpSender

        self._sender = OtlpSender()

    def update(self, snapshot: Snapshot) -> None:
        """Keep the figures for the next export."""
        self._snapshot = snapshot

    def look(self) -> None:
        """Export, if it is time to."""
        if clocks.monotonic() >= self._next_export_s:
            self._next_export_s = clocks.monotonic() + EXPORT_S
            self._send()

    def reset_in_child(self) -> None:
        """Make an exporter of the child's own, later."""
        self._sender = self._snapshot = None

    def close(self) -> None:
        """Export the last figures."""
        self._send()
        if self._sender is not None:
            self._sender.close()

    def _send(self) -> None:
        if self._sender is not None and self._snapshot is not None:
            self._sender.send(self._snapshot)
