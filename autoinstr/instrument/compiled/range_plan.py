"""Which ranges a generated function begins and ends, and between which statements.

Kernels of one module that follow each other are one range, and common outer ranges stay open. A
kernel that computes several modules is a range of its own, below the modules that they share."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.instrument.compiled.call_sites import Site, find_common

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from autoinstr.instrument.compiled.call_sites import NodeOrigin

COMPOUND = (ast.With, ast.If, ast.For, ast.While)


class TableRow(NamedTuple):
    """A statement that computes something: its line, its kernel, and the nodes it computes.

    Without nodes, it belongs to the calls that the statements before and after it share."""

    line: int
    kernel: str
    origins: tuple[NodeOrigin, ...]


class PlannedRange(NamedTuple):
    """A range of the plan.

    It is one of the module call `site[-1]`, or, with `members`, one of a kernel that the sites
    `members` share. `is_part`: an earlier range counts as the call."""

    site: Site
    members: tuple[Site, ...]
    kernels: tuple[str, ...]
    is_part: bool


class RangeStep(NamedTuple):
    """What happens at one place: the innermost ranges end, others begin, as indices of ranges."""

    ends: int
    begins: tuple[int, ...]


_OpenRange = tuple[Site, tuple[Site, ...]]


class RangePlan:
    """The ranges of one function, for the modules that one graph names."""

    def __init__(
        self,
        rows: Iterable[TableRow],
        blocks: Mapping[int, int | None],
        sites: Sequence[Site | None] | None = None,
        started: Iterable[Site] = (),
    ) -> None:
        """`blocks` is the result of `find_blocks`. `sites` are those of the graph that runs, by
        ordinal. `started` are the calls that an earlier function has begun."""
        self.ranges: list[PlannedRange] = []
        self.steps: list[RangeStep] = []
        self.before: dict[int, int] = {}  # line -> step before its statement
        self.after: dict[int, int] = {}  # line -> step behind its statement
        self.unknown_rows = 0
        self.started = set(started)
        self._branches: dict[Site, int | None] = {}  # where a call begins: a value of `blocks`
        self._open: list[_OpenRange] = []
        self._open_ranges: list[int] = []
        previous_line = unknown_line = None
        for row in rows:
            if blocks.get(row.line, 0) is None or row.line in self.before:
                continue
            if previous_line is not None and blocks.get(previous_line) != blocks.get(row.line):
                self._end_unshared(unknown_line, [])
                self._end_branch(previous_line)
                unknown_line = None
            previous_line = row.line
            stack = self._find_stack(row, sites)
            if stack is not None:
                if unknown_line != row.line:
                    self._end_unshared(unknown_line, stack)
                unknown_line = None
                self._move_to(stack, row, blocks.get(row.line, 0))
                continue
            self.unknown_rows += 1
            if not row.origins and unknown_line is None:
                unknown_line = row.line
            # Otherwise it belongs to what is open.
        self._end_unshared(unknown_line, [])

    def has_shape_of(self, other: RangePlan) -> bool:
        """Return whether ranges begin and end at the same places."""
        return (self.steps, self.before, self.after) == (other.steps, other.before, other.after)

    def _find_stack(
        self, row: TableRow, sites: Sequence[Site | None] | None
    ) -> list[_OpenRange] | None:
        known: list[tuple[Site, bool]] = []
        for origin in row.origins:
            site = origin.site
            if sites is not None and origin.ordinal is not None:
                site = sites[origin.ordinal] if origin.ordinal < len(sites) else None
            if site is not None:
                known.append((site, origin.is_weak))
        chosen = [site for site, is_weak in known if not is_weak] or [site for site, _ in known]
        if not chosen:
            return None
        members = list(dict.fromkeys(chosen))
        members.sort(key=lambda site: -chosen.count(site))
        common = members[0] if len(members) == 1 else find_common(members)
        stack: list[_OpenRange] = [(common[: depth + 1], ()) for depth in range(len(common))]
        if len(members) > 1:
            stack.append((common, tuple(members)))
        return stack

    def _is_started(self, site: Site, block: int | None) -> bool:
        """Return whether a call has begun before: not if it has in another branch."""
        if site not in self._branches:
            return site in self.started
        return not block or self._branches[site] in (0, block)

    def _move_to(self, stack: list[_OpenRange], row: TableRow, block: int | None) -> None:
        depth = self._count_shared(stack)
        if len(self._open) == depth == len(stack):
            if stack and stack[-1][1]:
                index = self._open_ranges[-1]
                planned = self.ranges[index]
                kernels = tuple(dict.fromkeys((*planned.kernels, row.kernel)))
                self.ranges[index] = planned._replace(kernels=kernels)
            return
        ends = len(self._open) - depth
        del self._open[depth:], self._open_ranges[depth:]
        begins = []
        for site, members in stack[depth:]:
            begins.append(len(self.ranges))
            is_part = not members and self._is_started(site, block)
            kernels = (row.kernel,) if members else ()
            self.ranges.append(PlannedRange(site, members, kernels, is_part))
            if not members and not is_part:
                if site not in self.started:
                    self._branches[site] = block
                self.started.add(site)
            self._open.append((site, members))
            self._open_ranges.append(begins[-1])
        self.before[row.line] = len(self.steps)
        self.steps.append(RangeStep(ends, tuple(begins)))

    def _end_unshared(self, line: int | None, stack: list[_OpenRange]) -> None:
        """End before `line` the open ranges that `stack` does not share. None: there is no line."""
        depth = self._count_shared(stack)
        if line is not None and depth < len(self._open):
            self.before[line] = len(self.steps)
            self.steps.append(RangeStep(len(self._open) - depth, ()))
            del self._open[depth:], self._open_ranges[depth:]

    def _count_shared(self, stack: list[_OpenRange]) -> int:
        """Return how many of the open ranges, outermost first, `stack` has too."""
        depth = 0
        while depth < min(len(stack), len(self._open)) and stack[depth] == self._open[depth]:
            depth += 1
        return depth

    def _end_branch(self, line: int) -> None:
        if self._open:
            self.after[line] = len(self.steps)
            self.steps.append(RangeStep(len(self._open), ()))
            del self._open[:], self._open_ranges[:]


def iterate_statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements in the order of the text, those inside compound statements too."""
    for statement in body:
        yield statement
        if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            for block in ("body", "orelse", "finalbody"):
                yield from iterate_statements(getattr(statement, block, ()))


def find_blocks(function: ast.FunctionDef) -> dict[int, int | None]:
    """Map each line to the branch that it stands in: 0 outside `if`, None inside a loop.

    A range must begin and end in one branch, and a loop would begin it again and again."""
    blocks: dict[int, int | None] = {}
    branch_count = 0

    def visit(body: Iterable[ast.stmt], block: int | None) -> None:
        nonlocal branch_count
        for statement in body:
            blocks[statement.lineno] = block
            if isinstance(statement, ast.With):
                visit(statement.body, block)
            elif isinstance(statement, (ast.For, ast.While)):
                visit(statement.body, None)
            elif isinstance(statement, ast.If):
                for branch in (statement.body, statement.orelse):
                    branch_count += 1
                    visit(branch, None if block is None else branch_count)

    visit(function.body, 0)
    return blocks


def find_functions(tree: ast.AST) -> dict[str, ast.FunctionDef]:
    """Map the name of each function in a source to its definition."""
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
