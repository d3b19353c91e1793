"""The name cache: what each module instance is called. A name is decided once and stored in a
reference to the module (module_refs.py).

The hot paths read references, `NameCache.number_refs` and `NameCache.message_refs` without a lock.
Everything else happens here, under one lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol

from autoinstr.base.guard import is_from_signal_handler
from autoinstr.base.module_namer import ModuleNamer
from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.emitters.recorder import UNRECORDED
from autoinstr.instrument import compile
from autoinstr.instrument.modules.module_refs import MessageRef, ModuleRef, NumberRef, add_ref
from autoinstr.instrument.modules.places import Places

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName
    from autoinstr.emitters.compiled_range import CompiledRange
    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.instrument.modules.foreign_ranges import ForeignRanges
    from autoinstr.instrument.modules.module_rules import ModuleRules


class RangeOutput(Protocol):
    """Where module ranges go: the recorder, an emitter, or several."""

    def name_module(self, name: ModuleName) -> Any:
        """Return what `begin_module` needs for a module; 0 if it cannot have ranges."""

    def name_compiled(self, compiled: CompiledRange) -> Any:
        """Return what `begin_module` needs for a range inside compiled code; 0 if it has none."""

    def begin_module(self, name: Any) -> RangeSlot | None:
        """Begin a module's range in this thread; None if it has none."""


class _Activation(NamedTuple):
    """The active output, the class of its references and the table of them, by id(module).

    The three are replaced together. A thread may be inside a call at that moment: a reference is
    valid for an output only if its activation is still the current one after the lookup."""

    output: RangeOutput | None  # None while the agent is off
    ref_class: type[ModuleRef]
    refs: dict[int, Any]


class NameCache:
    """The names of all modules of the process, for the output that is active.

    `switch_on` and `switch_off` are the switch. While it is off, a wrapper that a program still
    holds writes nothing."""

    def __init__(
        self,
        recorder: Recorder,
        rules: ModuleRules,
        foreign_ranges: ForeignRanges,
        report_error: Callable[[BaseException], None],
    ) -> None:
        """`report_error` receives internal errors, which never reach the module call."""
        # References by id(module): in `number_refs` while the recorder alone is on, else in
        # `message_refs`. So no hot path reads a reference of the other class.
        self.number_refs: dict[int, NumberRef] = {}
        self.message_refs: dict[int, MessageRef] = {}
        self._local = recorder.local
        self._null_slot = recorder.null_slot
        self._rules = rules
        self._foreign_ranges = foreign_ranges
        self._report_error = report_error
        # These give a call all that the hot path lacks. They never raise an Exception. `begin_own`
        # serves the `__call__` that a class defines itself.
        self.begin: Callable[[Any], RangeSlot] = compile.hide_from_dynamo(self._begin)
        self.begin_own: Callable[[Any], RangeSlot] = compile.hide_from_dynamo(self._begin_own)
        self._reset()

    def _reset(self) -> None:
        self._lock = make_reentrant_lock()
        self._namer = ModuleNamer(self.number_refs, self.message_refs)
        self._places = Places(self._rules, self._namer)
        self._activate(None, is_recorder=True)

    def _activate(self, output: RangeOutput | None, is_recorder: bool) -> None:
        self.number_refs.clear()
        self.message_refs.clear()
        self._activation = (
            _Activation(output, NumberRef, self.number_refs)
            if is_recorder
            else _Activation(output, MessageRef, self.message_refs)
        )

    def switch_on(self, output: RangeOutput, is_recorder: bool) -> None:
        """Write calls to `output`. `is_recorder` says that it is the recorder alone."""
        with self._lock:
            self._activate(output, is_recorder)

    def switch_off(self) -> None:
        """Write no further call. Calls that are running still end their range."""
        with self._lock:
            self._activate(None, is_recorder=True)

    def reset_in_child(self) -> None:
        """Forget names and locks after a fork.

        The parent's numbers are not valid here. Its lock may belong to a thread that does not
        exist in this process."""
        output, ref_class, _ = self._activation
        self._reset()
        self._activate(output, ref_class is NumberRef)

    def _begin(self, module: Any) -> RangeSlot:
        own_calls = getattr(self._local, "own_calls", None)
        if own_calls and own_calls[-1] == id(module):
            # The class's own __call__ has the range, and has now reached Module.__call__.
            own_calls[-1] = 0
            return self._null_slot
        return self._begin_own(module)

    def _begin_own(self, module: Any) -> RangeSlot:
        try:
            output, _, refs = activation = self._activation
            if output is None:
                return self._null_slot
            cls = type(module)
            version = self._rules.check_class(cls, self.begin_own)
            ref = refs.get(id(module))
            if ref is None or ref() is not module or ref.class_ref() is not cls:
                ref = self._name_module(module, activation)
            elif not self._places.is_current(module, ref):
                ref = self._rename(module, activation)
            if ref is None:
                return self._null_slot
            if ref.name == UNRECORDED:  # the slow path counts the ranges that have no name
                version = None
            self._places.open_short_path(module, ref, version)
            if not ref.name or self._activation is not activation:
                return self._null_slot
            return output.begin_module(ref.name) or self._null_slot
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            self._report_error(error)
            return self._null_slot

    def _rename(self, module: Any, activation: _Activation) -> ModuleRef | None:
        """Name a module anew whose children have changed, or that has left its place."""
        with self._lock:
            if self._activation is not activation:
                return None
            renamed, removed = self._namer.rename_children(module)
            for relative, relative_name in renamed:
                self._add_ref(relative, relative_name)
            for key in removed:
                activation.refs.pop(key, None)
        return self._name_module(module, activation)

    @property
    def activation(self) -> _Activation:
        """The active output and the table of its references."""
        return self._activation

    def name_inner_module(
        self, module: Any, outer_modules: list[Any]
    ) -> tuple[ModuleName, bool, ModuleRef] | None:
        """Name a module that runs inside compiled code.

        `outer_modules` contain it there, innermost first. Return its name, whether the filter keeps
        it, and its reference; None while the agent is off."""
        callers = [*outer_modules, *self._rules.callers.find_callers(module)]
        with self._lock:
            if self._activation.output is None:
                return None
            name, relatives = self._namer.name_module(module, callers)
            for relative, relative_name in relatives:
                self._add_ref(relative, relative_name)
            ref = self._activation.refs.get(id(module))
            if ref is None or ref() is not module:
                ref = self._add_ref(module, name)
            return name, self._rules.decide_module(name), ref

    def _name_module(self, module: Any, activation: _Activation) -> ModuleRef | None:
        """Name the module, and its tree the first time; None if the activation is over."""
        callers = self._rules.callers.find_callers(module)
        with self._lock:
            if self._activation is not activation:
                return None
            if self._foreign_ranges.update_outputs(activation.output):
                activation.refs.clear()
            name, relatives = self._namer.name_module(module, callers)
            for relative, relative_name in relatives:
                self._add_ref(relative, relative_name)
            ref = self._add_ref(module, name)
            self._places.place(module, ref, name, callers)
            return ref

    def _add_ref(self, module: Any, name: ModuleName) -> ModuleRef:
        output, ref_class, refs = self._activation
        assert output is not None
        self._rules.check_class(type(module), self.begin_own)
        range_name = output.name_module(name) if self._rules.decide_module(name) else 0
        return add_ref(ref_class, refs, module, range_name)
