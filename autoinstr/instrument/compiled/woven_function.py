"""A generated function that has range boundaries, and what happens in each of its calls.

The function gets its new code while ranges are on, and its own code back while they are off. So a
call costs nothing then."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base.guard import is_from_signal_handler, log_failure
from autoinstr.instrument.compiled import bindings
from autoinstr.instrument.compiled.range_names import name_ranges
from autoinstr.instrument.compiled.range_steps import (
    Steps,
    do_nothing,
    make_emitted_steps,
    make_recorded_steps,
    make_steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, FrameType, FunctionType

    from autoinstr.instrument.compiled.bindings import GraphSources
    from autoinstr.instrument.compiled.call_sites import Site
    from autoinstr.instrument.compiled.pieces import Piece, Pieces
    from autoinstr.instrument.compiled.range_plan import RangePlan, TableRow
    from autoinstr.instrument.modules.name_cache import NameCache

_MAX_BINDINGS = 4096  # of one function; a program with more compiles the same code again and again
_MAX_SEARCHES = 16
_MAX_GRAPHS = 64
_CONTEXT_KEY = "_autoinstr_modules"


class Binding(NamedTuple):
    """The steps of a function for certain modules and one output.

    It is valid while the table of references has `ref` for the module with the id `module_id`."""

    steps: Steps
    module_id: int
    ref: Any


class WovenFunction:
    """One generated function."""

    def __init__(
        self,
        function: FunctionType,
        rows: list[TableRow],
        blocks: dict[int, int | None],
        plan: RangePlan,
        is_backward: bool,
        name_cache: NameCache,
        recorder: Any,
        pieces: Pieces,
        piece: Piece | None,
        started: frozenset[Site],
    ) -> None:
        """`set_code` must follow, because the new code calls `enter`."""
        self.function = weakref.ref(function)
        self.native_code: CodeType = function.__code__
        self.code: CodeType = function.__code__
        self.rows, self.blocks, self.plan = rows, blocks, plan
        self.is_backward = is_backward
        self.graphs: list[GraphSources] = []  # the graphs that this code was generated for
        self._name_cache = name_cache
        self._recorder = recorder
        self._pieces = pieces
        self._started = started  # module calls that an earlier function of the source begins
        self._piece = piece  # the one that this function runs for; None: any, or none
        self._frames: dict[CodeType, GraphSources] = {}
        self._bindings: dict[Any, Binding] = {}
        self._searches = 0

    def switch(self, on: bool) -> None:
        """Give the function its new code, or its own, unless somebody else has changed it."""
        function = self.function()
        if function is not None and function.__code__ in (self.code, self.native_code):
            function.__code__ = self.code if on else self.native_code

    def add_graph(self, graph: GraphSources) -> None:
        """Add a graph that this code is also for."""
        if graph not in self.graphs:
            if len(self.graphs) >= _MAX_GRAPHS:  # the same model is compiled again and again
                self.graphs.clear()
                self._frames.clear()
                self._bindings.clear()
            self.graphs.append(graph)
            self._searches = 0

    def enter(self) -> Callable[[int], object]:
        """Return what takes the steps of this call. Never raises an Exception."""
        try:
            activation = self._name_cache.activation
            output = activation.output
            if output is None:
                return do_nothing
            binding = self._find_binding(bindings.get_frame(1), activation.refs)
            if binding is None:
                return do_nothing
            _check_stack_depth()
            if output is self._recorder:
                return make_recorded_steps(binding.steps, self._recorder)
            return make_emitted_steps(binding.steps, output, self._recorder.null_slot)
        except RecursionError:
            return do_nothing
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            log_failure("a range in compiled code", error)
            return do_nothing

    def _find_binding(self, woven_frame: FrameType, refs: dict[int, Any]) -> Binding | None:
        frame = woven_frame.f_back
        while frame is not None and not self.is_backward:
            code = frame.f_code
            if code is self._pieces.code and self._piece is None:
                piece = self._pieces.find(frame)
                return self._find_piece_binding(piece, frame, refs) if piece else None
            if code in self._frames:
                graph = self._frames[code]
                key: Any = (id(graph), *map(id, graph.read_roots(frame)))
                binding = self._bindings.get(key)
                if binding is not None and refs.get(binding.module_id) is binding.ref:
                    if len(graph.resolutions) > 1:
                        self._note_context(woven_frame, key)
                    return binding
                modules = graph.resolve(frame)
                if modules is not None:
                    return self._bind(key, graph, modules, frame, woven_frame)
            frame = frame.f_back
        if self.is_backward:
            return self._find_backward_binding(woven_frame, refs)
        return self._search(woven_frame)

    def _search(self, woven_frame: FrameType) -> Binding | None:
        """Search all callers for the frame that was compiled."""
        if self._searches >= _MAX_SEARCHES:
            return None
        self._searches += 1
        found = bindings.find_compiled_frame(woven_frame.f_back, self.graphs)
        if found is None:
            return None
        code, graph, frame, modules = found
        self._frames[code] = graph
        key = (id(graph), *map(id, graph.read_roots(frame)))
        return self._bind(key, graph, modules, frame, woven_frame)

    def _bind(
        self,
        key: Any,
        graph: GraphSources,
        modules: dict[str, Any],
        frame: FrameType,
        woven_frame: FrameType,
    ) -> Binding | None:
        own = {source for source in modules if bindings.is_own_call(frame, source)}
        graph.note_resolution(key, modules, own)
        if len(graph.resolutions) > 1:
            self._note_context(woven_frame, key)
        if self._piece is None:
            return self._make_binding(key, self.plan_for(graph.sites), modules, own)
        plan = self.plan_for(None, self._piece.list_started())
        if plan is not None:
            self._piece.note_started(plan.started)
        return self._make_binding(key, plan, modules, own)

    def _note_context(self, woven_frame: FrameType, key: Any) -> None:
        """Tell the backward of this call which modules it is for."""
        context = bindings.find_context(woven_frame.f_back)
        if context is not None:
            setattr(context, _CONTEXT_KEY, key)

    def _find_backward_binding(
        self, woven_frame: FrameType, refs: dict[int, Any]
    ) -> Binding | None:
        for graph in self.graphs:
            resolutions = graph.resolutions
            key = next(iter(resolutions), None)
            if len(resolutions) > 1:
                context = bindings.find_context(woven_frame.f_back)
                key = getattr(context, _CONTEXT_KEY, key)
            if key is None:
                continue
            binding = self._bindings.get(key)
            if binding is not None and refs.get(binding.module_id) is binding.ref:
                return binding
            modules, own = graph.read_resolution(key)
            if modules:
                return self._make_binding(key, self.plan_for(graph.sites), modules, own)
        return None

    def _find_piece_binding(
        self, piece: Piece, frame: FrameType, refs: dict[int, Any]
    ) -> Binding | None:
        binding = self._bindings.get(id(piece))
        if binding is not None and refs.get(binding.module_id) is binding.ref:
            return binding
        found = bindings.find_compiled_frame(frame.f_back, [piece.graph])
        if found is None:
            return None
        own = {source for source in found[3] if bindings.is_own_call(found[2], source)}
        plan = self.plan_for(piece.sites, piece.list_started())
        if plan is not None:
            piece.note_started(plan.started)
        return self._make_binding(id(piece), plan, found[3], own)

    def plan_for(self, sites: Any, started: Iterable[Site] = ()) -> RangePlan | None:
        """Return the ranges for the sites of one graph; None if they have another shape."""
        plan = type(self.plan)(self.rows, self.blocks, sites, [*self._started, *started])
        return plan if plan.has_shape_of(self.plan) else None

    def _make_binding(
        self, key: Any, plan: RangePlan | None, modules: dict[str, Any], own: set[str]
    ) -> Binding | None:
        if plan is None:
            return None
        names, module_id, ref = name_ranges(plan, modules, own, self.is_backward, self._name_cache)
        if ref is None:
            return None
        if len(self._bindings) >= _MAX_BINDINGS:
            self._bindings.clear()
        binding = Binding(make_steps(plan, names), module_id, ref)
        self._bindings[key] = binding
        return binding


def _check_stack_depth(depth: int = 8) -> None:
    """Raise RecursionError if the program has used up its stack: a step needs some frames."""
    if depth:
        _check_stack_depth(depth - 1)
