"""The thread that counts what was recorded, and shows it as the option `metrics` says.

It looks at the recording once a second. The program's calls do nothing for it, but for a note of
each step and request. It is stopped before a fork, and started again afterwards."""

from __future__ import annotations

import ctypes
import re
import select
from collections import deque
from typing import TYPE_CHECKING, Any

from autoinstr.agent.metrics.module_totals import ModuleTotals
from autoinstr.agent.metrics.recording_tail import RecordingTail
from autoinstr.agent.metrics.serving_times import MAX_OPEN, ServingTimes
from autoinstr.agent.metrics.snapshot import build_snapshot
from autoinstr.base import log, own_thread
from autoinstr.base.guard import contain_errors, log_failure
from autoinstr.base.system import call_above_standard, calls, clocks, identify_descriptor

if TYPE_CHECKING:
    from autoinstr.agent.metrics.serving_times import Event
    from autoinstr.agent.metrics.show import Show
    from autoinstr.agent.metrics.snapshot import Snapshot
    from autoinstr.agent.session import Session

_NUMBER_AT_END = re.compile(r"[-:]\d+$")
INTERVAL_S = 1.0  # between two looks at the recording


class MetricsService:
    """Counts and shows the figures of this process."""

    def __init__(self, session: Session, show: Show) -> None:
        """`show` is where the figures go (show.py)."""
        self._session = session
        self._show = show
        self._stop_request: Any = None  # locks, while the thread runs
        self._end_signal: Any = None
        self._wake_pipe: tuple[int, int] | None = None
        self._pipe_identity: tuple[int, int] | None = None
        self._restart_call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._restart)
        self._is_closed = False
        self._lock = own_thread.make_reentrant_lock()
        self._begin()
        self._observe()

    def _begin(self) -> None:
        """Count from zero."""
        recorder = self._session.recorder
        self._events: deque[Event] = deque(maxlen=MAX_OPEN)
        self._modules, self._serving = ModuleTotals(recorder), ServingTimes(recorder)
        self._tail: RecordingTail | None = None
        self._writer: Any = None

    def _observe(self) -> None:
        """Note the fields of steps and requests when they are stored."""
        recorder, clock = self._session.recorder, clocks.perf_counter_ns
        original = recorder.annotate

        def annotate(thread: int, name: int, start_ns: int, fields: dict[str, Any]) -> None:
            self._events.append((name, start_ns, clock(), fields))
            if not self._session.emitters.records_in_memory:
                original(thread, name, start_ns, fields)

        recorder.annotate = annotate  # type: ignore[method-assign]

    # -- figures -----------------------------------------------------------------------------------

    @contain_errors("counting metrics")
    def collect(self) -> None:
        """Count what is new, and give the figures to `show`."""
        with self._lock:
            writer = self._session.recorder.writer
            if writer is not None and writer is not self._writer:
                self._writer, self._tail = writer, RecordingTail(writer)
                self._modules.forget_numbers()
                self._serving.forget_numbers()
            if self._tail is not None:
                self._modules.add(self._tail.read())
            while self._events:
                self._serving.add(self._events.popleft())
            if self._modules.range_count or self._session.is_first:  # not of an idle worker
                self._show.update(self._build_snapshot())

    def _build_snapshot(self) -> Snapshot:
        session = self._session
        dropped_count = 0
        if session.emitters.records_in_memory:
            dropped_count = self._tail.missed_count if self._tail is not None else 0
        elif self._writer is not None:
            dropped_count = self._writer.count_dropped()
        return build_snapshot(
            self._name_process(),
            self._modules,
            self._serving,
            dropped_count,
            bool(session.range_switch.active) and not self._is_closed,
        )

    def _name_process(self) -> str:
        """Return roles and rank, which tell the processes of a run apart."""
        identity = self._session.identity
        identity.update_rank()
        # A program may start any number of workers: they share a name.
        name = _NUMBER_AT_END.sub("", "+".join(identity.roles or ["MainProcess"]))
        return name if identity.rank is None else f"{name} rank {identity.rank}"

    # -- the thread --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._stop_request is None:
            stop_request, end_signal = own_thread.allocate_lock(), own_thread.allocate_lock()
            stop_request.acquire()
            end_signal.acquire()
            self._wake_pipe = call_above_standard(calls.pipe)
            self._pipe_identity = identify_descriptor(self._wake_pipe[0])
            own_thread.start_thread(self._run, stop_request, end_signal, self._wake_pipe)
            self._stop_request, self._end_signal = stop_request, end_signal

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        stop_request, end_signal = self._stop_request, self._end_signal
        self._stop_request = self._end_signal = None
        if stop_request is not None and self._wake_pipe is not None:
            stop_request.release()
            if self._is_own(self._wake_pipe[1]):
                calls.write(self._wake_pipe[1], b"\0")
            end_signal.acquire(timeout=3.0)
            for descriptor in filter(self._is_own, self._wake_pipe):
                calls.close(descriptor)
            self._wake_pipe = None

    def _is_own(self, descriptor: int) -> bool:
        """Return whether the descriptor is still the pipe: a program may close all it finds."""
        return identify_descriptor(descriptor) == self._pipe_identity

    def restart_later(self) -> None:
        """Start the thread again when the main thread next runs Python code, after a fork."""
        ctypes.pythonapi.Py_AddPendingCall(self._restart_call, None)

    def restart_in_child(self) -> None:
        """In a forked child: count from zero, without the parent's port."""
        self._lock = own_thread.make_reentrant_lock()
        self._begin()
        self._show.reset_in_child()
        self.restart_later()

    def close(self) -> None:
        """Count for the last time, at the end of the process. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self.stop()
        self.collect()
        self._show.close()

    def _restart(self, _: object) -> int:
        try:
            self.start()
        except Exception as error:  # a pending call must not raise
            log_failure("counting metrics", error)
        return 0

    def _run(self, stop_request: Any, end_signal: Any, wake_pipe: tuple[int, int]) -> None:
        try:
            if not self._prepare():
                return
            due_s, is_stopped = 0.0, False
            while not (is_stopped or stop_request.acquire(False)):
                now_s = clocks.monotonic()
                if now_s >= due_s:
                    due_s = now_s + INTERVAL_S
                    self.collect()
                    self._look()
                if not self._wait(max(0.0, due_s - clocks.monotonic()), wake_pipe[0]):
                    is_stopped = stop_request.acquire(timeout=INTERVAL_S)
        finally:
            end_signal.release()

    @contain_errors("preparing metrics")
    def _prepare(self) -> bool:
        """Import what `show` needs; False if it is missing, which is logged."""
        try:
            self._show.prepare()
        except ImportError as error:
            event = "metrics are off: a package is missing"
            log.write_once("metrics", "error", event, error=str(error), remedy=self._show.remedy)
            return False
        return True

    @contain_errors("showing metrics")
    def _look(self) -> None:
        self._show.look()

    @contain_errors("showing metrics")
    def _wait(self, timeout_s: float, wake_descriptor: int) -> bool:
        """Wait for a request or the end; return False if that is impossible."""
        port, poll = self._show.port, select.poll()  # not select: it fails from number 1,024 on
        if not self._is_own(wake_descriptor) or (port is not None and not port.is_open()):
            return False  # the program has closed a descriptor, and may have it now
        poll.register(wake_descriptor, select.POLLIN)
        if port is not None:
            poll.register(port.fileno(), select.POLLIN)
        events = poll.poll(timeout_s * 1_000)
        if any(event & select.POLLNVAL for _, event in events):
            return False
        if port is not None and any(descriptor != wake_descriptor for descriptor, _ in events):
            port.answer()
        return True
