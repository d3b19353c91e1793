"""The hot path: functions that replace `torch.nn.Module.__call__`.

A recorded range is three stores into the recording: name and start when the call begins, end when
it returns (recording/format.py). hot_emitting_call.py emits a range.

The functions run with torch's module as globals (`frames.copy_with_line_of`). What they need from
this package is in their closure. docs/internals/benchmarks.md has their costs. The code before
`forward` catches only what that code can raise. Another exception comes from a signal handler of
the program, and passes through.

The guards and the paths to `forward` are the same in both functions, and written twice. A shared
function would add a call to every range. The first three arguments have names, because a call with
a tuple of arguments costs more than the recording of a range."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import copy_metadata, copy_with_line_of
from autoinstr.instrument.modules import class_versions
from autoinstr.instrument.modules.module_refs import NumberRef

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.instrument.modules.class_versions import ClassStates

# For type checkers only. The functions below run with the globals of torch's module, where these
# names are torch's hook tables.
_global_backward_pre_hooks: dict[int, Any] = {}
_global_backward_hooks: dict[int, Any] = {}
_global_forward_hooks: dict[int, Any] = {}
_global_forward_pre_hooks: dict[int, Any] = {}


def make_recording_call(
    torch_module: ModuleType,
    tracing: ModuleType,
    line_number: int,
    class_states: ClassStates,
    refs: dict[int, NumberRef],
    local: Any,
    begin: Callable[[Any], RangeSlot],
) -> FunctionType:
    """Return the recording wrapper for a torch version whose calling code is known.

    It inlines `_wrapped_call_impl`. Without hooks it calls `forward` directly. `tracing` is
    torch.jit._trace. `line_number` is the line that the frame shows. `class_states` has the
    versions of classes that leave each step to torch. `refs` maps id(module) to its reference.
    `local.slots` holds the thread's next record and words (RecordingWriter.allocate_slots). `begin`
    supplies what is missing. A module that the filter excludes goes straight to `forward`. While
    the agent is off, there are no references, and `begin` records nothing."""
    clock, ref_class = clocks.perf_counter_ns, NumberRef
    absent = object()
    dict_versions = class_versions.dict_versions
    find_held_class, state_refs = class_states.held.get, class_states.refs
    torch_c = torch_module.__dict__["torch"]._C
    get_tracing_state = torch_c._get_tracing_state

    def call(
        self: Any, x: Any = absent, y: Any = absent, z: Any = absent, /, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            # Nothing of a changed class is read: the program could see that.
            class_state = find_held_class(type(self))
            if class_state is None:
                class_state = state_refs[id(type(self))].state
            class_word, version = class_state
            if class_word[0] == version:
                module_ref = self.__weakref__
                if type(module_ref) is not ref_class:  # another weak reference comes first
                    module_ref = refs[id(self)]
                name = module_ref.name
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
                elif name:
                    next_record, words = local.slots
                    i, j, k = next_record()
                else:
                    words = None
            else:
                version = None
        # No reference, no slots, a full block, or no __init__ yet: begin() handles these.
        except (KeyError, AttributeError, TypeError, IndexError):
            version = None
        if version is not None:
            try:
                if words is not None:
                    words[i] = name
                    words[j] = clock()
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
                if words is not None:
                    words[k] = clock()
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

    wrapper = copy_with_line_of(call, torch_module, "_call_impl", line_number)
    return copy_metadata(wrapper, torch_module.Module._wrapped_call_impl)
