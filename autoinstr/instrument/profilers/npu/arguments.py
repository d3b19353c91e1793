"""Wraps an `__init__` of torch_npu: sets arguments before the call, reads them back after it."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base import log
from autoinstr.base.guard import log_failure
from autoinstr.instrument.frames import hide_frame
from autoinstr.instrument.profilers.effective import (
    PROGRAM,
    RESET,
    TORCH_NPU,
    ParameterValue,
    format_value,
)
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoinstr.instrument.profilers.npu.rules import Reset


class InitCall(NamedTuple):
    """A call of an `__init__`: its arguments, and what set those that the agent changed."""

    parameters: Mapping[str, inspect.Parameter]
    arguments: dict[str, Any]
    sources: dict[str, str]  # of the arguments that the agent set
    announced: set[str]  # arguments that torch_npu will replace, as a log line says
    caller: str  # name of a module

    def set_argument(self, name: str, value: Any, source: str) -> None:
        """Set an argument; log a line if this torch_npu does not have it."""
        if name in self.parameters:
            self.arguments[name], self.sources[name] = value, source
        else:
            log.write_once(
                f"torch_npu has no {name}",
                "warning",
                "this torch_npu has no such profiler parameter",
                parameter=name,
            )

    def announce_resets(self, resets: Iterable[Reset], words: Mapping[Any, str]) -> None:
        """Log the arguments that torch_npu will replace, unless the agent set none of this call."""
        for reset in resets if self.sources else ():
            self.announced.add(reset.name)
            fields = {"parameter": reset.name}
            if reset.name in self.arguments:
                fields["value"] = format_value(self.arguments[reset.name], words)
            fields.update(reset_to=format_value(reset.replacement, words), reason=reset.reason)
            log.write_once(
                f"reset {reset.name} {reset.reason}",
                "warning",
                "torch_npu will not take a profiler parameter",
                **fields,
            )

    def read_back(
        self, name: str, effective_value: Any, words: Mapping[Any, str]
    ) -> ParameterValue:
        """Return the value that a parameter has after the call, and what set it.

        Log a line if torch_npu replaced a value that was not announced.
        """
        is_set = name in self.arguments
        source = self.sources.get(name, PROGRAM if is_set else TORCH_NPU)
        value = format_value(effective_value, words)
        argument = format_value(self.arguments.get(name), words)
        if is_set and (self.arguments[name] or effective_value) and value != argument:
            if self.sources and name not in self.announced:
                log.write_once(
                    f"reset {name}",
                    "warning",
                    "torch_npu has reset a profiler parameter",
                    parameter=name,
                    value=argument,
                    reset_to=value,
                )
            source = f"{source}, {RESET}"
        elif name in self.announced:
            source = f"{source}, {RESET}"
        return ParameterValue(name, value, source)


def wrap_init(
    cls: type,
    set_arguments: Callable[[InitCall], None],
    read_result: Callable[[Any, InitCall], None],
    is_inner_call: Callable[[Any], bool],
) -> None:
    """Wrap `cls.__init__`.

    `set_arguments` changes the arguments. `read_result` gets the object and the call afterwards.
    `is_inner_call` returns True for an object whose call is part of another wrapped call.
    """

    def make(original: Any) -> Any:
        signature = inspect.signature(original)
        parameters = {
            name: parameter for name, parameter in signature.parameters.items() if name != "self"
        }

        def prepare(
            self: Any, args: Any, kwargs: Any, caller: str
        ) -> tuple[InitCall | None, Any, Any]:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:  # the caller's mistake: the original reports it
                return None, (self, *args), kwargs
            arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
            call = InitCall(parameters, arguments, {}, set(), caller)
            try:
                set_arguments(call)
            # Arguments that were changed before the error stay changed: an iterator among them can
            # be read only once.
            except Exception as error:
                log_failure("setting profiler parameters", error)
            bound.arguments.update(call.arguments)
            return call, bound.args, bound.kwargs

        def finish(self: Any, call: InitCall) -> None:
            try:
                read_result(self, call)
            except Exception as error:
                log_failure(f"reading back a {cls.__qualname__}", error)

        @hide_frame
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            call = None
            if is_inner_call(self):
                args = (self, *args)
            else:
                caller = str(sys._getframe(1).f_globals.get("__name__"))
                call, args, kwargs = prepare(self, args, kwargs, caller)
            original(*args, **kwargs)
            if call is not None:
                finish(self, call)

        return init

    replace(cls, "__init__", make)
