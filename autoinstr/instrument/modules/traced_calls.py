"""Wrappers for the time in which a Python tracer runs (`with_stack`, `with_modules`).

Each Python function and each C function that runs is an event of the trace, and the tracer must see
torch's own function. So these wrappers call little themselves: a record of the recording, or the
two calls of an emitter. What is missing, `begin` supplies, at the cost of more events."""

from __future__ import annotations

import _thread
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import copy_metadata
from autoinstr.instrument.modules import class_versions
from autoinstr.instrument.modules.module_refs import MessageRef, NumberRef

if TYPE_CHECKING:
    from types import FunctionType

    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.emitters.tool_output import ToolOutput


def make_traced_recording_call(
    original: FunctionType,
    refs: dict[int, NumberRef],
    local: Any,
    begin: Callable[[Any], RangeSlot],
) -> FunctionType:
    """Return a wrapper around torch's own function that records; the arguments are those of
    hot_call.make_recording_call."""
    clock, ref_class = clocks.perf_counter_ns, NumberRef
    dict_versions = class_versions.dict_versions

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        words = None
        try:
            module_ref = self.__weakref__
            if type(module_ref) is not ref_class:
                module_ref = refs[id(self)]
            name = module_ref.name
            is_ready = (
                module_ref.is_place_known
                and name >= 0  # begin() counts the ranges that have no name
                and module_ref.class_ref() is type(self)
                and not getattr(local, "own_calls", None)
                and (
                    module_ref.children_version is None
                    or dict_versions[id(self.__dict__["_modules"]) >> 3]
                    == module_ref.children_version
                )
            )
            if is_ready and name:
                next_record, words = local.slots
                i, j, k = next_record()
        # As in make_recording_call.
        except (KeyError, AttributeError, TypeError, IndexError):
            is_ready = False
        if not is_ready:
            try:
                name, words, i, j, k = begin(self)
            except RecursionError:  # as in make_torch_call
                name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        try:
            if words is not None:
                words[i] = name
                words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            if words is not None:
                words[k] = clock()

    return copy_metadata(call, original)


def make_traced_emitting_call(
    original: FunctionType,
    local: Any,
    refs: dict[int, MessageRef],
    begin: Callable[[Any], RangeSlot],
    output: ToolOutput,
    report_error: Callable[[BaseException], None],
) -> FunctionType:
    """Return a wrapper around torch's own function for one emitter; the arguments are those of
    hot_emitting_call.make_emitting_call."""
    start, end, domain = output.start, output.end, output.domain
    clock, get_ident, ref_class = clocks.perf_counter_ns, _thread.get_ident, MessageRef
    dict_versions = class_versions.dict_versions
    serials, domain_owners = output.serials, output.domain_owners
    owner, era = 0, object()
    # The wrapper of hot_emitting_call.py follows the same output.
    set_other_owner, start_other_era = output.set_owner, output.start_era

    def set_owner(thread: int) -> None:
        nonlocal owner
        owner = thread
        set_other_owner(thread)

    def start_era() -> tuple[object, ...]:
        nonlocal era
        previous, era = era, object()
        return (previous, *start_other_era())

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        nonlocal owner
        range_era = token = None
        serial = 0
        try:
            try:
                module_ref = self.__weakref__
                if type(module_ref) is not ref_class:
                    module_ref = refs[id(self)]
                message = module_ref.name
                is_ready = (
                    module_ref.is_place_known
                    and module_ref.class_ref() is type(self)
                    and not getattr(local, "own_calls", None)
                    and (
                        module_ref.children_version is None
                        or dict_versions[id(self.__dict__["_modules"]) >> 3]
                        == module_ref.children_version
                    )
                )
                if is_ready and message:
                    thread = get_ident()
                    if not owner:
                        # An outermost call. The claim is released below, whatever interrupts it.
                        serial = next(serials)
                        if domain_owners.setdefault(0, serial) == serial:
                            owner = output.owner_thread = thread
                    is_ready = thread == owner
                    if is_ready:
                        range_era = era
                        token = start(message, domain)
            # As in make_emitting_call.
            except (KeyError, AttributeError, TypeError, ValueError, RuntimeError):
                is_ready = False
            if is_ready:
                return original(self, *args, **kwargs)
            try:
                name, words, i, j, k = begin(self)
            except RecursionError:  # as in make_torch_call
                name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
            try:
                words[i] = name
                words[j] = clock()
                return original(self, *args, **kwargs)
            finally:
                words[k] = clock()
        finally:
            if token is not None and era is range_era:
                try:
                    end(token, domain)
                except Exception as error:
                    report_error(error)
            if serial and domain_owners.get(0) == serial:
                owner = output.owner_thread = 0
                domain_owners.pop(0, None)

    output.set_owner, output.start_era = set_owner, start_era
    output.wrapper_codes.add(call.__code__)
    return copy_metadata(call, original)
