"""Notes, while torch._inductor generates code, which FX nodes each written statement computes.

Nothing that is generated changes. Fused kernels of every backend are announced by
`set_kernel_post_grad_provenance_tracing` before their call is written; it does nothing itself
unless an option is set that enters the cache key. Extern kernels, fallbacks and custom operators
come through `Scheduler.codegen_extern_call`. `PythonWrapperCodegen` then writes their lines."""

from __future__ import annotations

import sys
import threading
from typing import Any, Callable, NamedTuple

from autoinstr.base.guard import contain_errors
from autoinstr.instrument.compiled.call_sites import is_weak

_ACTIVITY = "noting the modules of compiled code"
_LINES = "_autoinstr_lines"  # an attribute of a wrapper's code generator, which lives for one graph


class KernelCall(NamedTuple):
    """What is being written: the name of the kernel, its FX nodes, and whether it is extern."""

    kernel: str
    nodes: list[Any]
    is_extern: bool


class WrittenCall(NamedTuple):
    """A line of text that calls a kernel."""

    text: str
    call: KernelCall


class CapturedGraph(NamedTuple):
    """The calls of each function of one generated source, in the order of the text."""

    calls: dict[str, list[WrittenCall]]
    is_backward: bool


class _State(threading.local):
    """What this thread generates at the moment."""

    def __init__(self) -> None:
        self.call: KernelCall | None = None
        self.calls: dict[str, list[WrittenCall]] = {}
        self.captured: CapturedGraph | None = None


_state = _State()


def take_captured() -> CapturedGraph | None:
    """Return what was noted for the source that this thread is about to load for the first time."""
    captured, _state.captured = _state.captured, None
    return captured


def install() -> None:
    """Wrap the functions. `known_texts.py` must know all of them."""
    import torch._inductor.codegen.cpp
    import torch._inductor.codegen.triton  # noqa: F401  both code generators import functions by name
    import torch._inductor.codegen.wrapper as wrapper
    import torch._inductor.debug as debug
    import torch._inductor.graph as graph
    import torch._inductor.scheduler as scheduler

    _wrap_provenance(debug)
    _wrap_extern_call(scheduler.Scheduler)
    _wrap_lines(wrapper)
    _wrap_compilation(graph.GraphLowering)


def _wrap_provenance(debug: Any) -> None:
    native: Any = debug.set_kernel_post_grad_provenance_tracing

    def set_kernel_post_grad_provenance_tracing(
        node_schedule: Any, kernel_name: str, is_extern: bool = False
    ) -> Any:
        if not is_extern:
            note_kernel(node_schedule, kernel_name)
        return native(node_schedule, kernel_name, is_extern)

    @contain_errors(_ACTIVITY)
    def note_kernel(node_schedule: Any, kernel_name: str) -> None:
        nodes: dict[Any, None] = {}
        for entry in node_schedule:  # also markers without nodes, and fused nodes
            for part in entry.get_nodes() if hasattr(entry, "get_nodes") else ():
                if part.node is not None:
                    nodes.update(dict.fromkeys(part.node.origins))
        _state.call = KernelCall(str(kernel_name), list(nodes), False)

    # Code generators import it by name.
    name = "set_kernel_post_grad_provenance_tracing"
    for module in list(sys.modules.values()):
        attributes: dict[str, Any] = getattr(module, "__dict__", {})
        if attributes.get(name) is native:
            setattr(module, name, set_kernel_post_grad_provenance_tracing)


def _wrap_extern_call(scheduler_class: Any) -> None:
    native = scheduler_class.codegen_extern_call

    def codegen_extern_call(self: Any, scheduler_node: Any) -> Any:
        note_extern(scheduler_node)
        try:
            return native(self, scheduler_node)
        finally:
            _state.call = None

    @contain_errors(_ACTIVITY)
    def note_extern(scheduler_node: Any) -> None:
        node = scheduler_node.node
        kernel = getattr(node, "python_kernel_name", None) or type(node).__name__
        origins = [_find_extern_origin(part.node) for part in scheduler_node.get_nodes()]
        nodes = dict.fromkeys(origin for origin in origins if origin is not None)
        _state.call = KernelCall(str(kernel), list(nodes), True)

    scheduler_class.codegen_extern_call = codegen_extern_call


def _find_extern_origin(node: Any) -> Any:
    """Return the one FX node that an extern kernel computes.

    Its `origins` also have what its inputs were computed from, if these were not in memory yet."""
    exact = getattr(node, "origin_node", None)
    if exact is not None and exact in node.origins:
        return exact
    nodes = [origin for origin in node.origins if origin.op == "call_function"]
    overload = getattr(node, "op_overload", None)
    nodes = (
        [origin for origin in nodes if origin.target is overload]
        or [origin for origin in nodes if not is_weak(origin)]
        or nodes
    )
    return max(nodes, key=_find_place, default=None)


def _find_place(node: Any) -> int:
    place = 0
    while node.prev.op != "root":
        node, place = node.prev, place + 1
    return place


def _wrap_lines(wrapper: Any) -> None:
    generator = wrapper.PythonWrapperCodegen
    silent_lines = (wrapper.MemoryPlanningLine, wrapper.CommentLine)
    append, generate = generator.writeline, generator._generate

    def writeline(self: Any, line: Any) -> None:
        append(self, line)
        if _state.call is not None:
            note_line(self, line, _state.call)

    @contain_errors(_ACTIVITY)
    def note_line(self: Any, line: Any, call: KernelCall) -> None:
        if isinstance(line, wrapper.KernelCallLine) or (
            call.is_extern
            and isinstance(line, (str, wrapper.WrapperLine))
            and not isinstance(line, silent_lines)
        ):
            self.__dict__.setdefault(_LINES, []).append((line, call))
            if not call.is_extern:
                _state.call = None

    def _generate(self: Any, is_inference: bool) -> Any:
        texts: dict[int, list[str]] = {}
        watch_lines(self, texts)
        result = generate(self, is_inference)
        collect_calls(self, texts)
        return result

    @contain_errors(_ACTIVITY)
    def watch_lines(self: Any, texts: dict[int, list[str]]) -> None:
        for line, _ in self.__dict__.get(_LINES, ()):
            if not isinstance(line, str):
                line.codegen = _make_watched(line.codegen, texts.setdefault(id(line), []))

    @contain_errors(_ACTIVITY)
    def collect_calls(self: Any, texts: dict[int, list[str]]) -> None:
        calls: list[WrittenCall] = []
        for line, call in self.__dict__.get(_LINES, ()):
            for text in [line] if isinstance(line, str) else texts.get(id(line), ()):
                stripped = text.strip()
                if stripped and not stripped.startswith(("#", "del ", "assert")):
                    calls.append(WrittenCall(stripped, call))
        if calls:
            _state.calls[self.launcher_fn_name] = calls

    generator.writeline, generator._generate = writeline, _generate


def _make_watched(native: Callable[[Any], Any], texts: list[str]) -> Callable[[Any], Any]:
    """Wrap the `codegen` of one line object, and append the lines of text that it writes."""

    def codegen(code: Any) -> Any:
        count = len(code._lines)
        result = native(code)
        texts.extend(text for text in code._lines[count:] if isinstance(text, str))
        return result

    return codegen


def _wrap_compilation(graph_class: Any) -> None:
    name = "_compile_to_module_lines"
    if not hasattr(graph_class, name):
        name = "_compile_to_module"
    native = getattr(graph_class, name)

    def compile_to_module(self: Any, *args: Any) -> Any:
        if args:  # the text is generated, and is loaded within this call
            take_calls(self)
        try:
            return native(self, *args)
        finally:
            _state.captured = None

    def take_calls(self: Any) -> None:
        calls, _state.calls = _state.calls, {}
        _state.captured = CapturedGraph(calls, bool(getattr(self, "is_backward", False)))

    compile_to_module.__name__ = name
    setattr(graph_class, name, compile_to_module)
