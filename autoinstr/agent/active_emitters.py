"""Which emitters this process has, which of them are on, and the one output that goes to them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import failed
from autoinstr.base.module_name import wording
from autoinstr.base.process_facts import nvtx_injected
from autoinstr.instrument.importhook import is_complete

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

    from autoinstr.config.config import Config
    from autoinstr.emitters.combined_output import Several
    from autoinstr.emitters.emitter import Emitter
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.emitters.tool_output import Live
    from autoinstr.instrument.profilers.running import Profilers

RECORDER = "recorder"
WITHOUT_MSTX = "torch_npu_without_mstx"  # a profiler of torch_npu's that collects no ranges
# The kinds of profilers whose running is, for an emitter, the time of a profile (`when=profiling`).
# For the recorder any is; nvtx looks for the tool itself.
KINDS = {
    "mstx": frozenset(("torch_npu", "msprof", "mspti")),
    "torch": frozenset(("torch", "torch_npu", WITHOUT_MSTX)),
}
MSPTI = "mspti"


class Emission:
    """Not thread-safe: the session holds its lock."""

    def __init__(self, config: Config, recorder: Recorder) -> None:
        self._config = config
        self._recorder = recorder
        self.live: dict[str, Live] = {}
        self.names: tuple[str, ...] = ()  # of the emitters that there are, the recorder first
        self._unusable: set[str] = set()
        self._joined: dict[tuple[str, ...], Several] = {}
        self.were_on: set[str] = set()  # at some time, in this process

    def choose(self) -> list[Live]:
        """Look which emitters there can be by now; those that are new. With the recorder alone
        nothing of the others is imported."""
        asked = self._config.emitter
        if asked == ("auto",):
            asked = self._automatic()
        new = [
            live for name in asked if name not in (RECORDER, "auto") and (live := self._make(name))
        ]
        there = [name for name in asked if name in self.live]
        if RECORDER in asked or (self._config.emitter == ("auto",) and not there):
            there.insert(0, RECORDER)
        self.names = tuple(there)
        return new

    def _automatic(self) -> tuple[str, ...]:
        if "torch_npu" in sys.modules and is_complete(sys.modules["torch_npu"]):
            return ("mstx",)
        return ("nvtx",) if nvtx_injected() else (RECORDER,)

    def _make(self, name: str) -> Live | None:
        if name in self.live or name in self._unusable:
            return None
        from autoinstr.emitters.emitter import Unusable
        from autoinstr.emitters.tool_output import Live

        try:
            emitter = _emitter(name)
            if emitter is None:
                return None
        except Exception as error:
            self._unusable.add(name)
            if isinstance(error, Unusable):
                log.once(
                    f"unusable {name}",
                    "error",
                    "an emitter cannot be used",
                    emitter=name,
                    reason=str(error),
                )
            else:
                failed(f"the emitter {name}", error)
            return None
        config = self._config
        message = wording(config.name_for(name))
        live = Live(
            emitter,
            message,
            config.domain,
            config.streams_for(name),
            config.attributes,
            lambda error: failed(f"a range of {name}", error),
        )
        self.live[name] = live
        return live

    def wanted(
        self, profilers: Profilers, switched: bool | None, stopping: Collection[Hashable]
    ) -> tuple[str, ...]:
        """The emitters that should be on; `switched` is what has been said last (Session.on and
        off), if anything. While a profiler is `stopping` an emitter that has to close early is off,
        whatever it waits for."""
        return tuple(
            name
            for name in self.names
            if self._is_wanted(name, profilers, switched)
            and not (stopping and name in self.live and self.live[name].emitter.closes_early)
        )

    def _is_wanted(self, name: str, profilers: Profilers, switched: bool | None) -> bool:
        when = self._config.when_for(name)
        if when != "profiling":
            return switched is True if when == "manual" else switched is not False
        if name == RECORDER:
            return profilers.running
        if name == "nvtx":
            return nvtx_injected()
        return profilers.runs(KINDS[name] if self._config.mspti else KINDS[name] - {MSPTI})

    def output(self, names: tuple[str, ...]) -> Recorder | Live | Several | None:
        """What ranges are to be written to for these emitters to have them."""
        self.were_on.update(names)
        if len(names) < 2:
            return self._one(names[0]) if names else None
        if names not in self._joined:
            from autoinstr.emitters.combined_output import Several

            self._joined[names] = Several(
                [self._one(name) for name in names],
                lambda error: failed("one of several emitters", error),
            )
        return self._joined[names]

    def _one(self, name: str) -> Any:
        return self._recorder if name == RECORDER else self.live[name]

    def cut(self, names: Iterable[str]) -> None:
        """These emitters' tools are about to stop, or have stopped."""
        for name in names:
            if name in self.live:
                self.live[name].cut()

    def idle(self) -> None:
        """A tool has stopped collecting."""
        for live in self.live.values():
            try:
                live.emitter.idle()
            except Exception as error:
                failed(f"the emitter {live.emitter.name}", error)

    @property
    def emitted(self) -> bool:
        """A tool has had ranges of this process, ours or the program's own."""
        return any(live.emitted or live.leaves_modules for live in self.live.values())

    def say_what_was_missed(self, first: bool) -> None:
        """At the end of a process that has ranges: who was asked for some, and had none. `first`:
        it is the first of its run; a child may well have what another one lacks."""
        for name in self._config.emitter:
            if name in self.live or name in self._unusable or name in ("auto", RECORDER):
                continue
            level = "warning" if first else "info"
            log.once(
                f"missed {name}",
                level,
                "no range was written: torch_npu was never imported",
                emitter=name,
            )
        for name, live in self.live.items():
            if name in self.were_on and not live.emitted and not live.leaves_modules:
                log.once(
                    f"missed {name}",
                    "warning",
                    "no range was written: nothing that the filters keep was called",
                    emitter=name,
                )
            elif name not in self.were_on:
                log.once(
                    f"missed {name}",
                    "info",
                    "no range was written: no profiler ran (when=always waits for none)",
                    emitter=name,
                )

    def reset_in_child(self) -> None:
        """After fork: nothing that is open is this process's."""
        self.were_on.clear()
        for live in self.live.values():
            live.reset_in_child()


def _emitter(name: str) -> Emitter | None:
    """None where it has to wait for a module that the program has not imported. Raises Unusable."""
    if name == "mstx":
        from autoinstr.emitters import mstx

        module = sys.modules.get("torch_npu")
        return mstx.make(module) if module is not None and is_complete(module) else None
    if name == "nvtx":
        from autoinstr.emitters import nvtx

        return nvtx.make()
    from autoinstr.emitters import torch_events

    return torch_events.make()
