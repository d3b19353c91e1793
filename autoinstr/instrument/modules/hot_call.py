"""The hot path: the function that takes the place of `torch.nn.Module.__call__`.

A recorded range is three stores into the recording: name and start when the call begins, end when
it returns (recording/format.py); a live one is two calls of an emitter. The functions below run
with torch's module as globals (`frames.as_frame_of`); everything of ours that they use is in their
closure. Costs: docs/internals/benchmarks.md. What is caught before `forward` is only what can come
from what is done there: an exception that a signal handler raises in that moment is the program's.

short_call and emitting_call have the same guards and ways to forward, written out in both: a
function that they shared would be one call more in every range. The first three arguments have
names of their own, since to call with a tuple costs more than to record does."""

from __future__ import annotations

import _thread
import time
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument.frames import as_frame_of
from autoinstr.instrument.modules.module_refs import MessageTie, NumberTie

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.emitters.recorder import Begun
    from autoinstr.emitters.tool_output import Live

# Stand-ins: as globals of torch's module, which the functions below get, these are torch's own
# tables.
_global_backward_pre_hooks: dict[int, Any] = {}
_global_backward_hooks: dict[int, Any] = {}
_global_forward_hooks: dict[int, Any] = {}
_global_forward_pre_hooks: dict[int, Any] = {}


def short_call(
    torch_module: ModuleType,
    tracing: ModuleType,
    line: int,
    ties: dict[int, NumberTie],
    local: Any,
    begin: Callable[[Any], Begun],
) -> FunctionType:
    """The wrapper for a torch whose calling code is known: inlines `_wrapped_call_impl`, and goes
    straight to `forward` where nothing lies between.

    `tracing` is torch.jit._trace, `ties` leads to those of modules by id(module), `local.slots`
    holds the thread's next record and words (RecordingWriter.slots); whatever is missing, `begin`
    supplies. A dropped module goes to `forward` at once. While the agent is off, there are no ties
    and `begin` records nothing."""
    clock, kind = time.perf_counter_ns, NumberTie
    absent = object()

    def call(
        self: Any, x: Any = absent, y: Any = absent, z: Any = absent, /, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            tie = self.__weakref__
            if type(tie) is not kind:  # somebody else's lies before it
                tie = ties[id(self)]
            name = tie.name
            cls = tie.cls
            own = self.__dict__
            if (
                type(self) is not cls
                or own["_backward_hooks"]
                or own["_backward_pre_hooks"]
                or own["_forward_hooks"]
                or own["_forward_pre_hooks"]
                or _global_backward_pre_hooks
                or _global_backward_hooks
                or _global_forward_hooks
                or _global_forward_pre_hooks
                or "_compiled_call_impl" in own
                or "_call_impl" in own
                or tracing._trace_module_map is not None
            ):
                cls = None
            elif name:
                next_record, words = local.slots
                i, j, k = next_record()
            else:
                words = None
        except (
            KeyError,
            AttributeError,
            TypeError,
            IndexError,
        ):  # no tie, no slots, a full block, no __init__ yet: begin() knows
            cls = None
        if cls is not None:
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
        except (
            RecursionError
        ):  # torch's own way may need fewer frames than are left; to name a module takes more
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

    return dress(
        as_frame_of(call, torch_module, "_call_impl", line), torch_module.Module._wrapped_call_impl
    )


def emitting_call(
    torch_module: ModuleType,
    tracing: ModuleType,
    line: int,
    ties: dict[int, MessageTie],
    begin: Callable[[Any], Begun],
    live: Live,
    failed: Callable[[BaseException], None],
) -> FunctionType:
    """As short_call, for one emitter alone: ties have messages, and the thread must be in an
    outermost call that has the domain (`begin` sees to that). A dropped module goes to `forward` at
    once."""
    start, end, domain = live.start, live.end, live.domain
    clock, ident, absent, kind = time.perf_counter_ns, _thread.get_ident, object(), MessageTie
    owner, era = 0, object()

    def own(thread: int) -> None:
        nonlocal owner
        owner = thread

    def renew() -> object:
        nonlocal era
        before, era = era, object()
        return before

    def call(
        self: Any, x: Any = absent, y: Any = absent, z: Any = absent, /, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            tie = self.__weakref__
            if type(tie) is not kind:
                tie = ties[id(self)]
            message = tie.name
            cls = tie.cls
            own = self.__dict__
            if (
                type(self) is not cls
                or own["_backward_hooks"]
                or own["_backward_pre_hooks"]
                or own["_forward_hooks"]
                or own["_forward_pre_hooks"]
                or _global_backward_pre_hooks
                or _global_backward_hooks
                or _global_forward_hooks
                or _global_forward_pre_hooks
                or "_compiled_call_impl" in own
                or "_call_impl" in own
                or tracing._trace_module_map is not None
            ):
                cls = None
            elif not message:
                since = None
            elif ident() == owner:
                since = era
                token = start(message, domain)
            else:
                cls = None
        except (
            KeyError,
            AttributeError,
            TypeError,
            ValueError,
            RuntimeError,
        ):  # as above; or a tool that fails
            cls = None
        if cls is not None:
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
                if era is since:  # else there is no range, or it has been ended by Live.cut
                    try:
                        end(token, domain)
                    except Exception as error:
                        failed(error)
        try:
            name, words, i, j, k = begin(self)
        except (
            RecursionError
        ):  # torch's own way may need fewer frames than are left; to name a module takes more
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

    live.own, live.renew = own, renew
    ours = dress(
        as_frame_of(call, torch_module, "_call_impl", line), torch_module.Module._wrapped_call_impl
    )
    live.codes.add(ours.__code__)
    return ours


def long_call(original: FunctionType, begin: Callable[[Any], Begun]) -> FunctionType:
    """A wrapper around torch's own function: for a torch that is not known, and for a running
    Python tracer, which looks for torch's own frame."""
    clock = time.perf_counter_ns

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            name, words, i, j, k = begin(self)
        except (
            RecursionError
        ):  # torch's own way may need fewer frames than are left; to name a module takes more
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        try:
            words[i] = name
            words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = clock()

    return dress(call, original)


def own_call(original: FunctionType, local: Any, begin: Callable[[Any], Begun]) -> FunctionType:
    """A wrapper around the `__call__` of a class that defines its own. That may go on to
    `Module.__call__`, and the range must not come twice: `local.own_calls` holds the modules, by
    id, whose own call is running in this thread and has not come there yet."""
    clock = time.perf_counter_ns

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            name, words, i, j, k = begin(self)
        except (
            RecursionError
        ):  # torch's own way may need fewer frames than are left; to name a module takes more
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        if not name:
            return original(self, *args, **kwargs)
        own_calls = local.__dict__.setdefault("own_calls", [])
        own_calls.append(id(self))
        try:
            words[i] = name
            words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = clock()
            own_calls.pop()

    return dress(call, original)


def dress(function: Callable[..., Any], original: Any) -> FunctionType:
    """Name, documentation and signature are those of the original: torch._dynamo and pickle of
    bound methods go by the name."""
    assert isinstance(function, FunctionType)
    function.__module__ = original.__module__
    function.__name__ = original.__name__
    function.__qualname__ = (
        "Module.__call__" if original.__name__ == "_wrapped_call_impl" else original.__qualname__
    )
    function.__doc__ = original.__doc__
    function.__dict__.update(original.__dict__)
    function.__dict__["__wrapped__"] = original  # inspect.signature() follows it
    return function
