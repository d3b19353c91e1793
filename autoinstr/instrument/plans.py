"""Plans: what to record for each module instance, decided once and kept beside the modules.

`Plans.plans` is read by the hot path without a lock; everything else happens here, under one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable, Protocol

from autoinstr.instrument import dynamo
from autoinstr.instrument.modules import NOT_SHORT
from autoinstr.names import ModuleName, Namer

if TYPE_CHECKING:
    from autoinstr.filters import Filter
    from autoinstr.instrument.modules import Begun, Plan


class Recorder(Protocol):
    """The part of the recorder that a module call needs when its thread has no record at hand."""

    local: Any
    nowhere: Begun

    def next_record(self) -> tuple[memoryview[int], int, int, int]:
        """The calling thread's next free record."""

    def define_module(self, name: ModuleName, message: str) -> int:
        """Number of a module's name."""


class Plans:
    """All plans of the process. `on()` and `off()` are the switch; while off nothing is recorded by a wrapper that somebody still holds."""

    def __init__(
        self,
        recorder: Recorder,
        filter_: Filter,
        message: Callable[[ModuleName], str],
        is_plain: Callable[[type], bool],
        callers: Callable[[Any], list[Any]],
        on_class: Callable[[type], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`message` words a range, `is_plain` tells classes that may take the short path, `callers(module)` the modules whose calls are
        running, innermost first, `on_class` is told of every class of a named module once, `failed` of an error of ours (it never
        reaches the call)."""
        self.plans: dict[int, Plan] = {}
        self._plans: dict[int, Plan] = {}  # of all modules, where `plans` has NOT_SHORT for some
        self._recorder = recorder
        self._filter = filter_
        self._message = message
        self._is_plain = is_plain
        self._callers = callers
        self._on_class = on_class
        self._failed = failed
        self._plain: dict[type, bool] = {}
        self._decisions: dict[tuple[str, str], tuple[bool, str]] = {}
        # Everything that a call needs and the hot path does not have; never raises an Exception. `begin_own` is for the `__call__` that a
        # class defines itself.
        self.begin: Callable[[Any], Begun] = dynamo.unseen(self._begin)
        self.begin_own: Callable[[Any], Begun] = dynamo.unseen(self._begin_own)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._active = False
        self._namer = Namer(self._forget)
        self.plans.clear()
        self._plans.clear()

    def on(self) -> None:
        """From now on calls are recorded."""
        with self._lock:
            self._active = True

    def off(self) -> None:
        """From now on no call is recorded; those that run still store their end."""
        with self._lock:
            self._active = False
            self.plans.clear()
            self._plans.clear()

    def reset_in_child(self) -> None:
        """After fork: nothing of the parent's numbers is valid here, and its lock may be held by a thread that does not exist."""
        active = self._active
        self._reset()
        self._active = active

    def decisions(self) -> dict[tuple[str, str], tuple[bool, str]]:
        """Path and class of every named module -> (kept, reason), for `autoinstr doctor`."""
        return dict(self._decisions)

    def _begin(self, module: Any) -> Begun:
        own_calls = getattr(self._recorder.local, "own_calls", None)
        if own_calls and own_calls[-1] == id(module):
            own_calls[-1] = 0  # the class's own __call__ has the range, and has now come to Module.__call__
            return self._recorder.nowhere
        return self._begin_own(module)

    def _begin_own(self, module: Any) -> Begun:
        try:
            if not self._active:
                return self._recorder.nowhere
            plan = self._plans.get(id(module))
            if plan is None or plan[1] is not type(module):
                plan = self._plan(module)
            if not plan[0]:
                return self._recorder.nowhere
            return (plan[0], *self._recorder.next_record())
        except Exception as error:
            self._failed(error)
            return self._recorder.nowhere

    def _plan(self, module: Any) -> Plan:
        callers = self._callers(module)
        with self._lock:
            if not self._active:
                return (0, type(module))
            name, others = self._namer.name(module, callers)
            for other, its_name in others:
                self._make(other, its_name)
            return self._make(module, name)

    def _make(self, module: Any, name: ModuleName) -> Plan:
        cls = type(module)
        plain = self._plain.get(cls)
        if plain is None:
            plain = self._plain[cls] = self._is_plain(cls)
            self._on_class(cls)
        decision = self._filter.decide(name.path, name.cls, name.depth)
        self._decisions[name.path, name.cls] = (decision.keep, decision.reason)
        number = self._recorder.define_module(name, self._message(name)) if decision.keep else 0
        plan: Plan = (number, cls)
        self._plans[id(module)] = plan
        self.plans[id(module)] = plan if plain else NOT_SHORT
        return plan

    def _forget(self, key: int) -> None:
        self.plans.pop(key, None)
        self._plans.pop(key, None)
