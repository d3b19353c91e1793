"""Which function runs inside which: for each function, the one around most of its time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from autoinstr.analysis.nesting import NO_PARENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.recording.reader import RangeName


class FunctionNesting:
    """The parents of the functions of one process. `parent_ns` collects the time of each name by
    the name around it; a key has two numbers or codes of names."""

    def __init__(
        self, names: Mapping[int, RangeName], origin: Mapping[int, tuple[int, str]]
    ) -> None:
        self.parent_ns: Counter[tuple[int, int]] = Counter()
        self._names = names
        self._origin = origin

    def find_parents(self, domain: str) -> dict[str, str]:
        """Return message -> message of the function around at least half of its time.

        Functions without such a function are left out. No function is below itself."""
        total_ns: Counter[str] = Counter()
        by_parent: dict[str, Counter[str]] = {}
        for (number, parent_number), time_ns in self.parent_ns.items():
            name = self._get_name(number)
            if name.domain != domain:
                continue
            total_ns[name.message] += time_ns
            if parent_number != NO_PARENT:
                parent = self._get_name(parent_number).message
                by_parent.setdefault(name.message, Counter())[parent] += time_ns
        parents: dict[str, str] = {}
        for message, counts in by_parent.items():
            parent, time_ns = counts.most_common(1)[0]
            if 2 * time_ns >= total_ns[message] and not _is_below(parents, parent, message):
                parents[message] = parent
        return parents

    def _get_name(self, number: int) -> RangeName:
        return self._names[self._origin.get(number, (number,))[0]]


def _is_below(parents: dict[str, str], function: str | None, ancestor: str) -> bool:
    """Return whether a function is another one, or below it."""
    while function is not None:
        if function == ancestor:
            return True
        function = parents.get(function)
    return False
