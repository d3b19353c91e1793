"""Wraps an `__init__` of torch_npu's in place: ours changes arguments before the call, and sees
what became of them after it."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base import log
from autoinstr.base.guard import failed
from autoinstr.instrument.frames import no_frame
from autoinstr.instrument.profilers.effective import PROGRAM, RESET, TORCH_NPU, Row, shown
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoinstr.instrument.profilers.npu.rules import Reset


class Call(NamedTuple):
    """A call of an `__init__`: its arguments, and the source of those that are ours."""

    parameters: Mapping[str, inspect.Parameter]
    given: dict[str, Any]
    sources: dict[str, str]
    announced: set[str]  # what torch_npu will not take as it is given; a log line has said so
    caller: str  # name of a module

    def set(self, name: str, value: Any, source: str) -> None:
        """Give it this; one log line where this torch_npu does not take it."""
        if name in self.parameters:
            self.given[name], self.sources[name] = value, source
        else:
            log.once(
                f"torch_npu has no {name}",
                "warning",
                "this torch_npu has no such profiler parameter",
                parameter=name,
            )

    def announce(self, resets: Iterable[Reset], words: Mapping[Any, str]) -> None:
        """Say what torch_npu will not take as it is given; not of a call that has nothing of ours
        in it, which is the program's affair."""
        for reset in resets if self.sources else ():
            self.announced.add(reset.name)
            fields = {"parameter": reset.name}
            if reset.name in self.given:
                fields["value"] = shown(self.given[reset.name], words)
            fields.update(reset_to=shown(reset.to, words), reason=reset.reason)
            log.once(
                f"reset {reset.name} {reset.reason}",
                "warning",
                "torch_npu will not take a profiler parameter",
                **fields,
            )

    def row(self, name: str, taken: Any, words: Mapping[Any, str]) -> Row:
        """What became of a parameter. Where torch_npu has made something else of it that was not
        announced, one log line."""
        source = self.sources.get(name, PROGRAM if name in self.given else TORCH_NPU)
        value, asked = shown(taken, words), shown(self.given.get(name), words)
        if name in self.given and (self.given[name] or taken) and value != asked:
            if self.sources and name not in self.announced:
                log.once(
                    f"reset {name}",
                    "warning",
                    "torch_npu has reset a profiler parameter",
                    parameter=name,
                    value=asked,
                    reset_to=value,
                )
            source = f"{source}, {RESET}"
        elif name in self.announced:
            source = f"{source}, {RESET}"
        return Row(name, value, source)


def wrap(
    cls: type,
    settle: Callable[[Call], None],
    made: Callable[[Any, Call], None],
    inner: Callable[[Any], bool],
) -> None:
    """`settle` changes the arguments of `cls.__init__`, `made` sees the object and the call
    afterwards. `inner`: of these objects the call is part of another one that has been settled."""

    def make(original: Any) -> Any:
        signature = inspect.signature(original)
        parameters = {
            name: parameter for name, parameter in signature.parameters.items() if name != "self"
        }

        def begin(self: Any, args: Any, kwargs: Any, caller: str) -> tuple[Call | None, Any, Any]:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:  # the caller's mistake: let the original say it
                return None, (self, *args), kwargs
            given = {name: value for name, value in bound.arguments.items() if name != "self"}
            call = Call(parameters, given, {}, set(), caller)
            try:
                settle(call)
            # what has been set until then holds: an argument that can be read once only has been
            # read
            except Exception as error:
                failed("setting profiler parameters", error)
            bound.arguments.update(call.given)
            return call, bound.args, bound.kwargs

        def end(self: Any, call: Call) -> None:
            try:
                made(self, call)
            except Exception as error:
                failed(f"reading back a {cls.__qualname__}", error)

        @no_frame
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            call = None
            if inner(self):
                args = (self, *args)
            else:
                call, args, kwargs = begin(
                    self, args, kwargs, str(sys._getframe(1).f_globals.get("__name__"))
                )
            original(*args, **kwargs)
            if call is not None:
                end(self, call)

        return init

    replace(cls, "__init__", make)
