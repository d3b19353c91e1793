"""The session: the one live activation in a process. It owns the recorder, the plans and the swap, and switches them together."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from autoinstr import diagnosis, log, process, rundir, user
from autoinstr.containment import contained, failed
from autoinstr.emitters.recorder import Recorder, loaded_versions, open_in
from autoinstr.filters import compile_filter
from autoinstr.instrument.calls import ModuleCalls
from autoinstr.instrument.functions import FunctionRanges
from autoinstr.instrument.profiling.state import Profilers
from autoinstr.instrument.steps import Window, optimizer_exists
from autoinstr.names import wording
from autoinstr.redaction import redact_argv

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import ModuleType

    from autoinstr.config import Config
    from autoinstr.recording.writer import RecordingWriter


class Session:
    """Module ranges of this process, on or off. `on()` and `off()` may be called from any thread."""

    def __init__(self, config: Config, torch_module: ModuleType) -> None:
        """`torch_module` is torch.nn.modules.module. ConfigError for a filter that cannot be compiled."""
        self.config = config
        self.reason = "not switched on yet"
        self.roles: list[str] = []
        self.rank: int | None = None
        self.world_size: int | None = None
        self._lock = threading.RLock()
        self._wanted = False
        self._follows_profilers = config.when_for("recorder") == "profiling"
        self.profilers = Profilers()
        self._tracer_has_started = False
        self.filter = compile_filter(config.include, config.exclude, config.sources)
        self.recorder = Recorder(self._open_writer, self._recorder_failed, config.domain)
        self.recorder.now_and_then = self._look_for_rank
        message = wording(config.name_for("recorder"))
        self.calls = ModuleCalls(
            torch_module, self.recorder, self.filter, message, lambda error: failed("a module range", error), self._outermost_ended
        )
        self.functions = FunctionRanges(self.recorder, lambda error: failed("a function range", error))
        user.connect(self.functions)
        self.window = None if config.window is None else Window(*config.window, self._record)
        self._steps_by_optimizer: bool | None = None
        self._serves = False  # vLLM runs in this process: its steps are the steps

    # -- the switch ---------------------------------------------------------------------------------------------------------------------

    def on(self, reason: str) -> None:
        """Record from now on."""
        with self._lock:
            if self._wanted:
                return
            self._wanted, self.reason = True, reason
            if self.window is not None:
                self._steps_by_optimizer = None
                self.window.restart()
            else:
                self._record(True)
            self.recorder.set_active(True)
            self._put()
        self.diagnose()

    def off(self, reason: str) -> None:
        """Record nothing from now on; torch's own function is back unless somebody has patched over ours."""
        with self._lock:
            if not self._wanted:
                return
            self._wanted, self.reason = False, reason
            self.calls.take_out()
            self._record(False)
            self.recorder.set_active(False)
        self.diagnose()

    def _put(self) -> None:
        counting = self.window is not None and not self.window.over
        other = self.calls.put(counting, self.profilers.tracing)
        if other is not None:
            self.reason = f"torch.nn.Module.__call__ is patched by {other}"

    def _record(self, on: bool) -> None:
        (self.calls.plans.on if on else self.calls.plans.off)()
        self.functions.active = on
        user.switch(on)

    # -- windows ------------------------------------------------------------------------------------------------------------------------

    @contained("counting steps")
    def _outermost_ended(self) -> None:
        if self._serves:
            return
        if self._steps_by_optimizer is None:
            self._steps_by_optimizer = optimizer_exists()
        if not self._steps_by_optimizer:
            self._step()

    @contained("counting steps")
    def optimizer_stepped(self, *_: Any) -> None:
        """Told by torch's own hook after each Optimizer.step."""
        if self.window is not None and self._wanted and not self._serves:
            self._steps_by_optimizer = True
            self._step()

    @contained("counting steps")
    def engine_stepped(self) -> None:
        """Told after each step of vLLM with scheduled tokens (instrument/engine_steps.py)."""
        self._step()

    def _step(self) -> None:
        with self._lock:
            if self.window is not None and self._wanted:
                self.window.step()
                if self.window.over:
                    self.calls.take_out()

    # -- profilers (instrument/tracers.py) ----------------------------------------------------------------------------------------------

    @contained("watching a profiler")
    def profiler_starts(self, python_tracer: bool) -> None:
        """torch's Python tracer takes down, when it starts for the first time, which code object Module.__call__ has: it must be
        torch's. And what the first range imports is imported before: torch writes broken traces of imports that it sees."""
        if python_tracer and (self._wanted or self._follows_profilers):
            self.recorder.open()
        if python_tracer and not self._tracer_has_started:
            with self._lock:
                self.calls.take_out()

    @contained("watching a profiler")
    def profiler_started(self, key: Hashable, python_tracer: bool = False) -> None:
        """The profiler `key` runs; in this process, or as an engine has announced."""
        with self._lock:
            self._tracer_has_started |= python_tracer
            self.profilers.started(key, python_tracer)
            self._profilers_changed()

    @contained("watching a profiler")
    def profiler_stopped(self, key: Hashable) -> None:
        """It no longer runs. Without a start before it nothing changes."""
        with self._lock:
            self.profilers.stopped(key)
            self._profilers_changed()

    @contained("watching a profiler")
    def follow_worker(self, running: bool | None) -> None:
        """Whether the profiler of a Worker in another process runs: that counts from now on. None: what this process knows itself."""
        with self._lock:
            self.profilers.follow(running)
            self._profilers_changed()

    def _profilers_changed(self) -> None:
        running = self.profilers.running
        if self._follows_profilers and running != self._wanted:
            (self.on if running else self.off)("a profiler runs" if running else "no profiler runs")
        elif self._wanted:
            self._put()

    # -- the recording ------------------------------------------------------------------------------------------------------------------

    @contained("telling the role of the process")
    def take_role(self, role: str, rank: int | None, world_size: int | None) -> None:
        """The process has instantiated something of vLLM's that gives it a role."""
        self._serves = True
        if role not in self.roles:
            self.roles.append(role)
        if rank is not None:
            self.rank, self.world_size = rank, world_size
        self.recorder.open()
        self.recorder.update_header(roles=self.roles, rank=self.rank, world_size=self.world_size)

    def _open_writer(self) -> RecordingWriter:
        config = self.config
        folder = rundir.make(config.out)
        writer = open_in(folder, self._header(), max_bytes=config.max_mb << 20, full=config.full, mode=config.mode)
        writer.on_full = self._recording_full
        process.at_exit(self.close)
        return writer

    def _header(self) -> dict[str, Any]:
        said = process.describe()
        self.roles = self.roles or said["roles"]
        if self.rank is None:
            self.rank, self.world_size = said["rank"], said["world_size"]
        argv = redact_argv(list(getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv]))
        own = {"roles": self.roles, "rank": self.rank, "world_size": self.world_size, "argv": argv, "versions": loaded_versions()}
        return {**said, **own, "emitter": "recorder", "name": self.config.name_for("recorder"), "domain": self.config.domain}

    @contained("looking for the rank")
    def _look_for_rank(self) -> None:
        """A process may get its rank after its first range, and may have lost it again by its end."""
        if self.rank is None:
            self.rank, self.world_size = process.rank()
            if self.rank is not None:
                self.recorder.update_header(rank=self.rank, world_size=self.world_size)

    def _recording_full(self) -> None:
        log.once(
            "full",
            "warning",
            "the recording is full; later ranges are counted and dropped",
            max_mb=self.config.max_mb,
            full=self.config.full,
        )

    def _recorder_failed(self, error: BaseException) -> None:
        log.once("recorder", "error", "recording is off", out=self.config.out, error=str(error) or type(error).__name__)

    # -- process life -------------------------------------------------------------------------------------------------------------------

    @contained("resetting after a fork")
    def reset_in_child(self) -> None:
        """In a forked child: locks, numbers and the recording are the parent's. This process starts its own at its first range."""
        self._lock = threading.RLock()
        self.calls.plans.reset_in_child()
        self.recorder.reset_in_child()
        self.functions.reset_in_child()
        self.roles, self.rank, self.world_size = [], None, None
        self.diagnose()

    @contained("ending the recording")
    def close(self) -> None:
        """The process ends in order."""
        self._look_for_rank()
        decisions = self.calls.plans.decisions().values()
        nothing_kept = decisions and not any(keep for keep, _ in decisions)
        for piece in self.filter.unmatched() if decisions else ():  # a piece may be here because an earlier one matched first
            log.once(f"unmatched {piece}", "warning" if nothing_kept else "info", "a filter matched no module", filter=piece)
        self.recorder.close()
        self.diagnose()

    def diagnose(self) -> None:
        """For `autoinstr doctor -- command`."""
        writer = self.recorder.writer
        details: dict[str, object] = {
            "emitter": "recorder",
            "wrapped": self.calls.swap.state() == "in",
            "roles": self.roles,
            "out": self.config.out,
            "recording": writer.path if writer else None,
            "modules": self.calls.decisions(),
        }
        diagnosis.report(self._wanted, self.reason, details)
