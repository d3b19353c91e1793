"""The hot path of one emitter alone: as hot_call.py, which explains the steps, but a range is two
calls of the emitter."""

from __future__ import annotations

import _thread
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import copy_metadata, copy_with_line_of
from autoinstr.instrument.modules import class_versions
from autoinstr.instrument.modules.module_refs import MessageRef

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.emitters.tool_output import ToolOutput
    from autoinstr.instrument.modules.class_versions import ClassStates

# For type checkers only. The functions below run with the globals of torch's module, where these
# names are torch's hook tables.
_global_backward_pre_hooks: dict[int, Any] = {}
_global_backward_hooks: dict[int, Any] = {}
_global_forward_hooks: dict[int, Any] = {}
_global_forward_pre_hooks: dict[int, Any] = {}


def make_emitting_call(
    torch_module: ModuleType,
    tracing: ModuleType,
    line_number: int,
    class_states: ClassStates,
    refs: dict[int, MessageRef],
    begin: Callable[[Any], RangeSlot],
    output: ToolOutput,
    report_error: Callable[[BaseException], None],
) -> FunctionType:
    """Return the wrapper for one emitter alone: as make_recording_call, but references hold
    messages.

    Only the thread whose outermost call owns the domain takes the short path. `begin` gives it the
    domain. `report_error` receives errors of the emitter at the end of a range."""
    start, end, domain = output.start, output.end, output.domain
    clock, get_ident = clocks.perf_counter_ns, _thread.get_ident
    absent, ref_class = object(), MessageRef
    owner, era = 0, object()
    dict_versions = class_versions.dict_versions
    find_held_class, state_refs = class_states.held.get, class_states.refs
    torch_c = torch_module.__dict__["torch"]._C
    get_tracing_state = torch_c._get_tracing_state

    def set_owner(thread: int) -> None:
        nonlocal owner
        owner = thread

    def start_era() -> tuple[object, ...]:
        nonlocal era
        previous, era = era, object()
        return (previous,)

    def call(
        self: Any, x: Any = absent, y: Any = absent, z: Any = absent, /, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            class_state = find_held_class(type(self))
            if class_state is None:
                class_state = state_refs[id(type(self))].state
            class_word, version = class_state
            if class_word[0] == version:
                module_ref = self.__weakref__
                if type(module_ref) is not ref_class:
                    module_ref = refs[id(self)]
                message = module_ref.name
                attributes = self.__dict__
                if (
                    module_ref.class_version is not version
                    or attributes["_backward_hooks"]
                    or attributes["_backward_pre_hooks"]
                    or attributes["_forward_hooks"]
                    or attributes["_forward_pre_hooks"]
                    or _global_backward_pre_hooks
                    or _global_backward_hooks
                    or _global_forward_hooks
                    or _global_forward_pre_hooks
                    or "_compiled_call_impl" in attributes
                    or "_call_impl" in attributes
                    or tracing._trace_module_map is not None
                    or torch_c._get_tracing_state is not get_tracing_state
                    or (
                        module_ref.children_version is not None
                        and dict_versions[id(attributes["_modules"]) >> 3]
                        != module_ref.children_version
                    )
                ):
                    version = None
                elif not message:
                    range_era = None
                elif get_ident() == owner:
                    range_era = era
                    token = start(message, domain)
                else:
                    version = None
            else:
                version = None
        # As in make_recording_call, or the tool failed.
        except (KeyError, AttributeError, TypeError, ValueError, RuntimeError):
            version = None
        if version is not None:
            try:
                if kwargs or x is absent:
                    if y is absent:
                        return self.forward(**kwargs) if x is absent else self.forward(x, **kwargs)
                    return (
                        self.forward(x, y, **kwargs)
                        if z is absent
                        else self.forward(x, y, z, *args, **kwargs)
                    )
                if y is absent:
                    return self.forward(x)
                if z is absent:
                    return self.forward(x, y)
                return self.forward(x, y, z, *args) if args else self.forward(x, y, z)
            finally:
                # Otherwise there is no range, or the output has already ended it.
                if era is range_era:
                    try:
                        end(token, domain)
                    except Exception as error:
                        report_error(error)
        try:
            name, words, i, j, k = begin(self)
        except RecursionError:  # torch's own code can need fewer frames than begin()
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        try:
            words[i] = name
            words[j] = clock()
            args = (
                (x, y, z, *args)
                if z is not absent
                else (x, y)
                if y is not absent
                else ()
                if x is absent
                else (x,)
            )
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            return self._call_impl(*args, **kwargs)
        finally:
            words[k] = clock()

    output.set_owner, output.start_era = set_owner, start_era
    wrapper = copy_with_line_of(call, torch_module, "_call_impl", line_number)
    output.wrapper_codes.add(wrapper.__code__)
    return copy_metadata(wrapper, torch_module.Module._wrapped_call_impl)
