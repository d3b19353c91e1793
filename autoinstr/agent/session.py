"""The session: the one live activation in a process. It owns the emitters, the plans and the swap,
and switches them together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from autoinstr.agent import empty_run
from autoinstr.agent.active_emitters import KINDS, RECORDER, WITHOUT_MSTX, Emission
from autoinstr.agent.identity import Identity
from autoinstr.agent.recording_file import Storage
from autoinstr.api import ranges
from autoinstr.base import doctor_channel, log
from autoinstr.base.guard import contained, failed
from autoinstr.base.module_name import wording
from autoinstr.config.filters import compile_filter
from autoinstr.emitters.recorder import Recorder
from autoinstr.instrument.functions.ranges import FunctionRanges
from autoinstr.instrument.modules.module_ranges import ModuleCalls
from autoinstr.instrument.profilers.running import Profilers
from autoinstr.instrument.steps.window import Steps, Window

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import ModuleType

    from autoinstr.config.config import Config

# Kinds of profilers that a forked child does not have: it could only write into its parent's
# session.
_OF_THE_PARENT = frozenset(("torch_npu", WITHOUT_MSTX))


class Session:
    """Ranges of this process, on or off. Its methods may be called from any thread."""

    def __init__(self, config: Config, torch_module: ModuleType) -> None:
        """`torch_module` is torch.nn.modules.module. ConfigError for a filter that cannot be
        compiled."""
        self.config = config
        self.reason = "not switched on yet"
        self.first = False  # of the processes of its run that loaded torch
        # for this very command, by -X or `autoinstr run`: not by an environment that is a
        # container's
        self.asked = False
        self.profiled = False  # a profiler has run, here or as an engine has announced
        self._lock = threading.RLock()
        self._on: tuple[str, ...] = ()  # names of the emitters that are on
        self._switched: bool | None = None  # by `autoinstr ctl`
        self.profilers = Profilers()
        self._stopping: set[Hashable] = (
            set()
        )  # profilers between profiler_stops and profiler_stopped
        self.filter = compile_filter(config.include, config.exclude, config.sources)
        self.storage = Storage(self, config)
        self.recorder = Recorder(
            self.storage.open,
            self.storage.cannot,
            config.domain,
            wording(config.name_for(RECORDER)),
        )
        self.identity = Identity(self.recorder)
        self.recorder.now_and_then = contained("looking for the rank")(self.identity.look_for_rank)
        self.emission = Emission(config, self.recorder)
        self.steps = Steps(self._step)
        self.calls = ModuleCalls(
            torch_module,
            self.recorder,
            self.filter,
            lambda error: failed("a module range", error),
            self.steps.outermost_ended,
        )
        self.functions = FunctionRanges(
            self.recorder, lambda error: failed("a function range", error)
        )
        ranges.connect(self.functions)
        self.window = None if config.window is None else Window(*config.window, self._emit)

    @property
    def roles(self) -> list[str]:
        """What the process is in its run."""
        return self.identity.roles

    # -- the switch --------------------------------------------------------------------------------

    def on(self, reason: str) -> None:
        """What waits for `autoinstr ctl` is on from now on, and what is always on."""
        self._switch(True, reason)

    def off(self, reason: str) -> None:
        """Neither is from now on; torch's own function is back unless somebody has patched over
        ours, or a profiler is followed."""
        self._switch(False, reason)

    def _switch(self, on: bool, reason: str) -> None:
        with self._lock:
            self._switched = on
            self._refresh(reason)

    @contained("choosing emitters")
    def choose_emitters(self, _: object = None) -> None:
        """Look which emitters there can be by now, and switch on what is due."""
        with self._lock:
            for live in self.emission.choose():
                self.calls.emit(live)
            self._refresh(
                f"when={self.config.when_for(self.emission.names[0])}"
                if self.emission.names
                else "no emitter can be used"
            )

    def _refresh(self, reason: str) -> None:
        """Bring what is on in line with what is wanted."""
        before = self._on
        names = self.emission.wanted(self.profilers, self._switched, self._stopping)
        if names == before:
            if names:
                self._put()
            elif self.reason == "not switched on yet":
                self.reason = (
                    f"{reason}, and no profiler runs" if reason == "when=profiling" else reason
                )
            return
        self._on, self.reason = names, reason
        if not names:
            self.calls.take_out()
        self._emit(False)
        self.emission.cut(name for name in before if name not in names)
        if self.window is not None and any(name not in before for name in names):
            self.steps.look_again()
            self.window.restart()
        elif names:
            self._emit(self.window is None or self.window.wanted)
        self.recorder.set_active(bool(names))
        if names:
            self._put()
        self.diagnose()

    def _put(self) -> None:
        counting = self.window is not None
        if self.window is not None and self.window.over:
            return self.calls.take_out()
        other = self.calls.put(self.emission.output(self._on), counting, self.profilers.tracing)
        if other is not None:
            self.reason = f"torch.nn.Module.__call__ is patched by {other}"

    def _emit(self, on: bool) -> None:
        output = self.emission.output(self._on) if on else None
        self.functions.switch(output, RECORDER in self._on)
        if output is None:
            self.calls.plans.off()
        else:
            self.calls.plans.on(output, numbered=output is self.recorder)
        ranges.switch(on)

    @contained("counting steps")
    def _step(self) -> None:
        """A step of the program has ended."""
        with self._lock:
            if self.window is not None and self._on:
                self.window.step()
                if self.window.over:
                    self.calls.take_out()

    # -- profilers (instrument/profilers/torch/watch.py, instrument/profiling) ---------------------

    @contained("watching a profiler")
    def profiler_starts(self, python_tracer: bool) -> None:
        """torch's Python tracer, and torch_npu's, takes down when it first starts which code object
        Module.__call__ has: it must be torch's. And what the first range imports is imported
        before: torch writes broken traces of imports that it sees."""
        if (
            python_tracer
            and RECORDER in self.emission.names
            and (self._on or self.config.when_for(RECORDER) == "profiling")
        ):
            self.recorder.open()
        if python_tracer:
            with self._lock:
                self.calls.take_out()

    @contained("watching a profiler")
    def profiler_started(self, key: Hashable, python_tracer: bool = False) -> None:
        """The profiler `key` runs; in this process, or as an engine has announced."""
        with self._lock:
            self._stopping.discard(key)
            self.profilers.started(key, python_tracer)
            self.profiled = True
            self._refresh("a profiler runs")
            if (
                isinstance(key, tuple)
                and key[0] == WITHOUT_MSTX
                and self.emission.names == ("mstx",)
                and not self._on
            ):
                log.once(
                    key[0],
                    "warning",
                    "this profile has no ranges: it was started without mstx, or without the NPU activity",
                )

    @contained("watching a profiler")
    def profiler_stops(self, key: Hashable) -> None:
        """It is about to stop: what is written to it live ends before. Without a start before it
        nothing changes."""
        with self._lock:
            if isinstance(key, tuple) and key[0] in KINDS["mstx"]:
                self._stopping.add(key)
                self.profilers.stopped(key)
                self._refresh("a profiler stops")

    @contained("watching a profiler")
    def profiler_stopped(self, key: Hashable) -> None:
        """It no longer runs. Without a start before it nothing changes."""
        with self._lock:
            self._stopping.discard(key)
            self.profilers.stopped(key)
            self._refresh("no profiler runs")
            self.emission.idle()

    @contained("watching a profiler")
    def follow_worker(self, running: bool | None) -> None:
        """Whether the profiler of a Worker in another process runs: that counts from now on. None:
        what this process knows itself."""
        with self._lock:
            self.profilers.follow(running)
            self.profiled = self.profiled or bool(running)
            self._refresh("a profiler runs" if self.profilers.running else "no profiler runs")

    # -- the process -------------------------------------------------------------------------------

    @contained("telling the role of the process")
    def take_role(self, role: str, rank: int | None, world_size: int | None) -> None:
        """The process has instantiated something of vLLM's that gives it a role."""
        self.steps.served = True
        self.identity.take_role(role, rank, world_size)
        if RECORDER in self.emission.names:
            self.recorder.open()

    @contained("resetting after a fork")
    def reset_in_child(self) -> None:
        """In a forked child: locks, numbers and the recording are the parent's. This process starts
        its own at its first range."""
        self._lock = threading.RLock()
        self.first = False
        self.calls.plans.reset_in_child()
        self.recorder.reset_in_child()
        self.emission.reset_in_child()
        self.functions.reset_in_child()
        self.identity.reset_in_child()
        self._stopping.clear()
        self.profilers.forget(_OF_THE_PARENT)
        self._refresh("a child of the process that profiles")
        self.diagnose()

    @contained("ending the recording")
    def close(self) -> None:
        """The process ends in order."""
        self.identity.look_for_rank()
        decisions = self.calls.plans.decisions().values()
        nothing_kept = decisions and not any(keep for keep, _ in decisions)
        for piece in (
            self.filter.unmatched() if decisions else ()
        ):  # a piece may be here because an earlier one matched first
            log.once(
                f"unmatched {piece}",
                "warning" if nothing_kept else "info",
                "a filter matched no module",
                filter=piece,
            )
        self.recorder.close()
        self.diagnose()
        if not self.first:
            return self.emission.say_what_was_missed(False)
        empty_run.when_children_have_ended(self._say_what_was_missed)

    @contained("looking for what was missed")
    def _say_what_was_missed(self) -> None:
        if not (empty_run.is_first(self) and empty_run.say(self)):
            self.emission.say_what_was_missed(True)

    def diagnose(self) -> None:
        """For `autoinstr doctor -- command`."""
        writer = self.recorder.writer
        details: dict[str, object] = {
            "emitter": ",".join(self.emission.names),
            "wrapped": self.calls.swap.state() == "in",
            "roles": self.roles,
            "out": self.config.out,
            "recording": writer.path if writer else None,
            "modules": self.calls.decisions(),
        }
        doctor_channel.report(bool(self._on), self.reason, details)
