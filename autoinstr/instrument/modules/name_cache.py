"""Plans: what each module instance is called, decided once and tied to the module (ties.py).

Ties, `Plans.numbers` and `Plans.messages` are read by the hot paths without a lock; everything else
happens here, under one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol

from autoinstr.base.guard import raised_by_a_signal_handler
from autoinstr.base.module_name import ModuleName, Namer
from autoinstr.instrument import compile
from autoinstr.instrument.modules.module_refs import MessageTie, NumberTie, Tie, tie

if TYPE_CHECKING:
    from autoinstr.config.filters import Filter
    from autoinstr.emitters.recorder import Begun


class Output(Protocol):
    """Where ranges go: the recorder, an emitter, or several."""

    def name_module(self, name: ModuleName) -> Any:
        """What `begin_module` wants for a module; 0 where it cannot have ranges."""

    def begin_module(self, name: Any) -> Begun | None:
        """A module's range begins in this thread; None where there is none."""


_Now = tuple[Optional[Output], type[Tie], dict[int, Any]]


class Plans:
    """All plans of the process. `on()` and `off()` are the switch; while off nothing is written by
    a wrapper that somebody still holds."""

    def __init__(
        self,
        local: Any,
        nowhere: Begun,
        filter_: Filter,
        is_plain: Callable[[type], bool],
        callers: Callable[[Any], list[Any]],
        on_class: Callable[[type], None],
        changed: Callable[[Any], bool],
        left_out: Callable[[ModuleName, str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`local` is the wrappers' (modules.own_call), `nowhere` what `begin` gives where nothing
        is written. `is_plain` tells classes that may take the short path, `callers(module)` the
        modules whose calls are running, innermost first, `on_class` is told of every class of a
        named module once, `changed(output)` tells whether something now names modules differently,
        `left_out(name, reason)` is told of the first module of a class that the filter drops for a
        reason, `failed` is told of an error of ours (it never reaches the call)."""
        # By id(module). While the recorder alone is on, the first; else the second: no hot path
        # ever reads a tie of the other kind.
        self.numbers: dict[int, NumberTie] = {}
        self.messages: dict[int, MessageTie] = {}
        self._local = local
        self._nowhere = nowhere
        self._filter = filter_
        self._is_plain = is_plain
        self._callers = callers
        self._on_class = on_class
        self._changed = changed
        self._left_out = left_out
        self._failed = failed
        self._dropped: set[tuple[str, str]] = set()  # class and reason, told already
        self._plain: dict[type, bool] = {}
        self._decisions: dict[tuple[str, str], tuple[bool, str]] = {}
        # Everything that a call needs and the hot path does not have; never raises an Exception.
        # `begin_own` is for the `__call__` that a class defines itself.
        self.begin: Callable[[Any], Begun] = compile.unseen(self._begin)
        self.begin_own: Callable[[Any], Begun] = compile.unseen(self._begin_own)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._namer = Namer()
        self._turn(None, numbered=True)

    def _turn(self, output: Output | None, numbered: bool) -> None:
        """The output that is on, the kind of its ties and the table that leads to them are replaced
        as one. A thread may be in the middle of a call: a tie is of this output if that is on after
        the look at it."""
        self.numbers.clear()
        self.messages.clear()
        self._now: _Now = (
            (output, NumberTie, self.numbers) if numbered else (output, MessageTie, self.messages)
        )

    def on(self, output: Output, numbered: bool) -> None:
        """From now on calls go to `output`; `numbered`: it is the recorder alone."""
        with self._lock:
            self._turn(output, numbered)

    def off(self) -> None:
        """From now on no call is written; those that run still end their range."""
        with self._lock:
            self._turn(None, numbered=True)

    def reset_in_child(self) -> None:
        """After fork: nothing of the parent's numbers is valid here, and its lock may be held by a
        thread that does not exist."""
        output, kind, _ = self._now
        self._reset()
        self._turn(output, kind is NumberTie)

    def decisions(self) -> dict[tuple[str, str], tuple[bool, str]]:
        """Path and class of every named module -> (kept, reason), for `autoinstr doctor`."""
        return dict(self._decisions)

    def _begin(self, module: Any) -> Begun:
        own_calls = getattr(self._local, "own_calls", None)
        if own_calls and own_calls[-1] == id(module):
            own_calls[-1] = (
                0  # the class's own __call__ has the range, and has now come to Module.__call__
            )
            return self._nowhere
        return self._begin_own(module)

    def _begin_own(self, module: Any) -> Begun:
        try:
            output, _, ties = now = self._now
            if output is None:
                return self._nowhere
            its = ties.get(id(module))
            if its is None or its() is not module or its.of is not type(module):
                its = self._tie(module, now)
            if its is None or not its.name or self._now is not now:
                return self._nowhere
            return output.begin_module(its.name) or self._nowhere
        except Exception as error:
            if raised_by_a_signal_handler(error):
                raise
            self._failed(error)
            return self._nowhere

    def _tie(self, module: Any, now: _Now) -> Tie | None:
        """None where something else is on by now."""
        callers = self._callers(module)
        with self._lock:
            if self._now is not now:
                return None
            if self._changed(now[0]):
                now[2].clear()
            name, others = self._namer.name(module, callers)
            for other, its_name in others:
                self._make(other, its_name)
            return self._make(module, name)

    def _make(self, module: Any, name: ModuleName) -> Tie:
        output, kind, ties = self._now
        assert output is not None
        cls = type(module)
        plain = self._plain.get(cls)
        if plain is None:
            plain = self._plain[cls] = self._is_plain(cls)
            self._on_class(cls)
        decision = self._filter.decide(name.path, name.cls, name.depth)
        self._decisions[name.path, name.cls] = (decision.keep, decision.reason)
        if not decision.keep and (name.cls, decision.reason) not in self._dropped:
            self._dropped.add((name.cls, decision.reason))
            self._left_out(name, decision.reason)
        return tie(kind, ties, module, output.name_module(name) if decision.keep else 0, plain)
