"""The pieces of a split graph: the same compiled code runs for several of them.

So the modules of a kernel depend on the piece that runs. Its frame is above the generated code."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from autoinstr.instrument.compiled.bindings import GraphSources
    from autoinstr.instrument.compiled.call_sites import Site


class SplitGraph:
    """What is known of one split graph, and which piece has begun which module call."""

    def __init__(self, graph: GraphSources) -> None:
        self.graph = graph
        self.owners: dict[Site, str] = {}  # module call -> name of the piece that begins it


class Piece:
    """One piece: the sites of its nodes, by ordinal."""

    def __init__(self, name: str, sites: list[Site | None], split: SplitGraph) -> None:
        self.name, self.sites, self.split = name, sites, split

    @property
    def graph(self) -> GraphSources:
        """The modules of the whole graph."""
        return self.split.graph

    def list_started(self) -> list[Site]:
        """Return the module calls that other pieces begin."""
        return [site for site, name in self.split.owners.items() if name != self.name]

    def note_started(self, sites: set[Site]) -> None:
        """Note the calls that this piece begins, unless an earlier one does."""
        for site in sites:
            self.split.owners.setdefault(site, self.name)


class Pieces:
    """The pieces of this process, by the object that runs each of them."""

    def __init__(self) -> None:
        self.code: CodeType | None = None  # of the method that runs a piece
        self._by_runner: weakref.WeakKeyDictionary[Any, Piece] = weakref.WeakKeyDictionary()

    def add(self, runner: Any, piece: Piece) -> None:
        """Note which piece an object runs."""
        self._by_runner[runner] = piece

    def find(self, frame: FrameType) -> Piece | None:
        """Return the piece that runs in a frame of `code`."""
        return self._by_runner.get(frame.f_locals.get("self"))
