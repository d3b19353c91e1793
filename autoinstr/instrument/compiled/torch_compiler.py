"""Wraps the functions of torch that compile graphs and load generated code.

They are wrapped when torch imports them. The first compilation wraps those that generate code."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument import importhook

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.compiled.function_weaver import FunctionWeaver

_ACTIVITY = "following torch.compile"


class TorchCompiler:
    """The wrappers. `ranges` gets what they see."""

    def __init__(self, ranges: FunctionWeaver) -> None:
        self._ranges = ranges
        self._is_capturing = False
        self._is_known: bool | None = None

    def is_known(self) -> bool:
        """Return whether the functions of the installed torch are known; decide it once."""
        if self._is_known is None:
            from autoinstr.instrument.compiled import known_texts

            unknown = known_texts.find_unknown()
            self._ranges.reason = f"off: {unknown}" if unknown else "on"
            self._is_known = not unknown
        return self._is_known

    def connect(self) -> None:
        """Wait for the modules of torch."""
        importhook.register("torch._inductor.codecache", self._follow_loading)
        importhook.register("torch._inductor.compile_fx", self._follow_compiling)
        importhook.register("torch._dynamo.output_graph", self._follow_user_compiler)
        importhook.register("torch._dynamo.backends.debugging", self._follow_boxed_nop)

    @contain_errors(_ACTIVITY)
    def _follow_loading(self, module: ModuleType) -> None:
        from autoinstr.instrument.compiled import ascend_pieces, capture, vllm_pieces

        ranges = self._ranges
        cache: Any = module.PyCodeCache
        native = cache.load_by_key_path.__func__

        @functools.wraps(native)
        def load_by_key_path(cls: Any, key: str, path: str, *args: Any, **kwargs: Any) -> Any:
            captured = capture.take_captured()
            loaded = native(cls, key, path, *args, **kwargs)
            if hasattr(loaded, "call") and self.is_known():
                ranges.weave_module(loaded, path, captured)
            return loaded

        cache.load_by_key_path = classmethod(load_by_key_path)
        vllm_pieces.connect(ranges)
        ascend_pieces.connect(ranges)

    @contain_errors(_ACTIVITY)
    def _follow_compiling(self, module: ModuleType) -> None:
        ranges = self._ranges
        native = module.compile_fx

        @functools.wraps(native)
        def compile_fx(model_: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.is_known():
                return native(model_, *args, **kwargs)
            self._begin_capture()
            with ranges.compilations.compile_graph(model_):
                return native(model_, *args, **kwargs)

        module.compile_fx = compile_fx  # type: ignore[attr-defined]

    @contain_errors(_ACTIVITY)
    def _begin_capture(self) -> None:
        from autoinstr.instrument.compiled import capture

        with self._ranges.lock:
            if not self._is_capturing:
                self._is_capturing = True
                capture.install()

    @contain_errors(_ACTIVITY)
    def _follow_user_compiler(self, module: ModuleType) -> None:
        ranges = self._ranges
        graph_class: Any = module.OutputGraph

        @contain_errors(_ACTIVITY)
        def weave_compiled(graph_module: Any, compiled: Any) -> None:
            from autoinstr.instrument.compiled import python_graphs

            if compiled is graph_module or getattr(compiled, "__self__", None) is graph_module:
                python_graphs.weave_graph(ranges, graph_module)

        native = graph_class.call_user_compiler

        @functools.wraps(native)
        def call_user_compiler(graph: Any, gm: Any, *args: Any) -> Any:
            if not self.is_known():
                return native(graph, gm, *args)
            with ranges.compilations.compile_with_backend(gm):
                compiled = native(graph, gm, *args)
                weave_compiled(gm, compiled)
            return compiled

        graph_class.call_user_compiler = call_user_compiler

    @contain_errors(_ACTIVITY)
    def _follow_boxed_nop(self, module: ModuleType) -> None:
        from autoinstr.instrument.compiled import python_graphs

        python_graphs.follow_boxed_nop(self._ranges, module)
