"""Phases and requests as a page has them."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.figures import nearest_rank
from autoinstr.analysis.serving_summary import STATES, by_phase, from_engine_only
from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoinstr.analysis.requests import Request
    from autoinstr.analysis.steps import Step
    from autoinstr.report.page.page_steps import Units

MOST_REQUESTS = 100_000  # in one page
BARS = 32  # of a card's histogram
FAR = 20  # times the shortest step
COUNTS = ("prompt_tokens", "output_tokens", "cached_tokens", "preemptions")


def engine_cards(steps: Sequence[Step], units: Units) -> list[dict[str, Any]]:
    """A card for each phase of vLLM's steps; where no step of it was seen whole (`partly`), of what
    was seen of them."""
    cards = []
    for one in by_phase(steps):
        lengths = [
            length
            for length, kind in zip(units.lengths, units.kind)
            if units.kinds[kind] == one.phase and length >= 0
        ]
        times = {
            "mean": None if one.mean_ns is None else round(one.mean_ns),
            "p50": one.p50_ns,
            "p99": one.p99_ns,
        }
        if one.mean_ns is None and lengths:
            times = _times(sorted(lengths))
        parts = [None if part is None else round(part) for part in one.parts]
        card = {
            "kind": one.phase,
            "steps": one.steps,
            **times,
            "partly": one.mean_ns is None,
            "total": sum(lengths),
        }
        cards.append(
            {
                **card,
                "batch": one.batch,
                "tokens": one.tokens,
                "parts": parts,
                **_histogram(lengths),
            }
        )
    return cards


def unit_cards(units: Units) -> list[dict[str, Any]]:
    """A card for each kind of other steps."""
    cards = []
    ended = len(units.starts) - units.never_ended
    for at, kind in enumerate(units.kinds):
        lengths = sorted(
            length for length, which in zip(units.lengths[:ended], units.kind) if which == at
        )
        if not lengths:
            continue
        cards.append(
            {
                "kind": kind,
                "steps": len(lengths),
                **_times(lengths),
                "total": sum(lengths),
                **_histogram(lengths),
            }
        )
    return cards


def _times(lengths: list[int]) -> dict[str, int | None]:
    return {
        "mean": round(sum(lengths) / len(lengths)),
        "p50": nearest_rank(lengths, 50),
        "p99": nearest_rank(lengths, 99),
    }


def _histogram(lengths: Sequence[int]) -> dict[str, Any]:
    """How many steps took how long, in bars from the shortest to the longest: of one width, or,
    where these are far apart, each as many times wider than the one before (`log`)."""
    if len(lengths) < 2 or min(lengths) == max(lengths):
        return {"bars": None}
    low, high = min(lengths), max(lengths)
    wide = high > FAR * max(low, 1)
    least = log(max(low, 1))
    scale = log(high) - least if wide else high - low
    bars = [0] * BARS
    for length in lengths:
        place = (log(max(length, 1)) - least) / scale if wide else (length - low) / scale
        bars[min(BARS - 1, int(place * BARS))] += 1
    return {"bars": bars, "low": low, "high": high, "log": wide}


def requests_entry(rows: Sequence[Request], offset_ns: int) -> dict[str, Any] | None:
    """The requests, column by column; arrivals count from `offset_ns`, ends are indices into
    `ends`. None where there are none."""
    if not rows:
        return None
    engine = from_engine_only(rows)
    where = "engine_" if engine else ""
    timed = {
        "queue": "queue_ns",
        "ttft": f"{where}ttft_ns",
        "tpot": "tpot_ns",
        "e2e": f"{where}e2e_ns",
    }
    kept = rows[:MOST_REQUESTS]
    ends: dict[str, int] = {}
    columns: dict[str, list[Any]] = {
        "name": [printable(row.name) for row in kept],
        "id": [None if row.id == row.name else printable(row.id) for row in kept],
        "arrived": [row.first_ns - offset_ns for row in kept],
        **{
            key: [getattr(row, attribute) for row in kept]
            for key, attribute in {**timed, **{one: one for one in COUNTS}}.items()
        },
        "end": [ends.setdefault(printable(row.reason or row.state), len(ends)) for row in kept],
    }
    tokens = sum(row.output_tokens or 0 for row in rows)
    lasted = max(row.last_ns for row in rows) - min(row.first_ns for row in rows)
    return {
        "of": len(rows),
        "engine": engine,
        "states": {state: sum(1 for row in rows if row.state == state) for state in STATES},
        **{
            key: _middle_and_slow(getattr(row, timed[key]) for row in rows)
            for key in ("ttft", "tpot", "e2e")
        },
        "output_tokens": tokens,
        "tokens_per_s": tokens * 1e9 / lasted if tokens and lasted > 0 else None,
        "ends": list(ends),
        "columns": {
            key: values
            for key, values in columns.items()
            if any(value is not None for value in values)
        },
    }


def _middle_and_slow(values: Iterable[int | None]) -> list[int] | None:
    """p50 and p99 of those that are known, None where none is."""
    known = sorted(value for value in values if value is not None)
    return [nearest_rank(known, 50), nearest_rank(known, 99)] if known else None
