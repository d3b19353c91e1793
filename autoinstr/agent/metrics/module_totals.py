"""Times of modules by folded path and class: `model.layers.*.mlp` stands for all layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from autoinstr.agent.metrics.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.emitters.recorder import Recorder

TOP_MODULES = 20  # series that are shown at first
MAX_MODULES = 40  # series that are ever shown: a series does not vanish
MAX_SERIES = 2_000  # that are counted; what comes later shares one
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_DIGIT_BITS = 7  # a duration has at most 64 binary digits

Series = tuple[str, str]  # folded path and class
_OTHERS: Series = ("(other modules)", "")


class ModuleTotals:
    """Sums up records by series. `range_count` has all ranges, also those of no module."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._series: dict[Series, Histogram] = {}
        self._by_number: dict[int, Histogram | None] = {}  # None: no module
        self._marks: set[int] = set()
        self._visible: dict[Series, None] = {}
        self.range_count = 0

    def forget_numbers(self) -> None:
        """Forget the numbers of names: another recording has begun."""
        self._by_number.clear()
        self._marks.clear()

    def add(self, blocks: Iterable[list[int]]) -> None:
        """Add closed records: name, start and end of each."""
        counts: dict[int, int] = {}
        sums: dict[int, int] = {}
        for words in blocks:
            for name, start, end in zip(words[0::3], words[1::3], words[2::3]):
                duration_ns = end - start
                key = name << _DIGIT_BITS | duration_ns.bit_length()
                counts[key] = counts.get(key, 0) + 1
                sums[name] = sums.get(name, 0) + duration_ns
        for key, count in counts.items():
            number = key >> _DIGIT_BITS
            if number not in self._by_number:
                self._find_names()
            if number not in self._marks:
                self.range_count += count
            histogram = self._by_number.setdefault(number, None)
            if histogram is not None:
                histogram.merge({key & (1 << _DIGIT_BITS) - 1: count}, sums.pop(number, 0))

    def list_heaviest(self) -> dict[Series, Histogram]:
        """Return the series with the most time, and those that were shown before."""
        called = [series for series, histogram in self._series.items() if histogram.counts]
        ranked = sorted(called, key=lambda series: -self._series[series].sum_ns)
        for series in ranked[:TOP_MODULES]:
            if len(self._visible) < MAX_MODULES:
                self._visible[series] = None
        return {series: self._series[series] for series in self._visible}

    def _find_names(self) -> None:
        for name, number in self._recorder.list_module_numbers():
            if number not in self._by_number:
                series = (_NUMBER.sub("*", name.path), name.cls)
                if series not in self._series and len(self._series) >= MAX_SERIES:
                    series = _OTHERS
                self._by_number[number] = self._series.setdefault(series, Histogram())
        for (kind, _, _), number in self._recorder.list_message_numbers():
            self._by_number.setdefault(number, None)
            if kind == "mark":
                self._marks.add(number)
