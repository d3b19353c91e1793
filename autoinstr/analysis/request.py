"""One request of vLLM, or one side of it: its times, its facts, and what follows from them."""

from __future__ import annotations

from typing import Any

PREEMPTED = "preempted"
ABORTED = "abort"
# vLLM notes an arrival by the wall clock. A wait of more than a day is a clock that was set.
LONGEST_WAIT_NS = 86_400 * 10**9

_TIMES = {
    "arrived": "arrived_ns",
    "queued": "queued_ns",
    "scheduled": "first_scheduled_ns",
    "first_token": "first_token_ns",
    "first_output": "first_output_ns",
    "finished": "finished_ns",
    "completed": "completed_ns",
}
_FACTS = (
    "external", "adapter", "prompt_tokens", "output_tokens", "cached_tokens", "preemptions",
    "reason",
)  # fmt: skip
_TEXT_FACTS = ("external", "adapter", "reason")


class Request:
    """One request, or one side of it.

    Times are nanoseconds since 1970, or since the origin of the offset that was given. None: not
    recorded. Every duration lies between two marks of one process. `process` is the index of the
    engine's recording, else of the front end's. `name` is what a reader knows the request by
    (request_names.py)."""

    __slots__ = ("id", "name", "process", *_TIMES.values(), *_FACTS)

    def __init__(self, request: str, process: int) -> None:
        self.id = self.name = request
        self.process: int = process
        self.arrived_ns: int | None = None
        self.queued_ns: int | None = None
        self.first_scheduled_ns: int | None = None
        self.first_token_ns: int | None = None
        self.first_output_ns: int | None = None
        self.finished_ns: int | None = None
        self.completed_ns: int | None = None
        self.external: str | None = None
        self.adapter: str | None = None
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.preemptions: int | None = None
        self.reason: str | None = None

    @property
    def queue_ns(self) -> int | None:
        """From the engine's queue to the first step that works on this request."""
        return _subtract(self.queued_ns, self.first_scheduled_ns)

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token, measured in the front end."""
        return _subtract(self.arrived_ns, self.first_output_ns)

    @property
    def engine_ttft_ns(self) -> int | None:
        """Time to first token in the engine alone."""
        return _subtract(self.queued_ns, self.first_token_ns)

    @property
    def tpot_ns(self) -> int | None:
        """Mean time per output token after the first: the engine's, else the front end's."""
        duration_ns = _subtract(self.first_token_ns, self.finished_ns)
        if duration_ns is None:
            duration_ns = _subtract(self.first_output_ns, self.completed_ns)
        if duration_ns is None or self.output_tokens is None or self.output_tokens < 2:
            return None
        return duration_ns // (self.output_tokens - 1)

    @property
    def e2e_ns(self) -> int | None:
        """End to end, measured in the front end."""
        return _subtract(self.arrived_ns, self.completed_ns)

    @property
    def engine_e2e_ns(self) -> int | None:
        """From the engine's queue to the end in the engine."""
        return _subtract(self.queued_ns, self.finished_ns)

    @property
    def state(self) -> str:
        """finished, aborted or unfinished."""
        if self.finished_ns is None and self.completed_ns is None:
            return "unfinished"
        return "aborted" if self.reason == ABORTED else "finished"

    @property
    def is_counted(self) -> bool:
        """Whether its preemptions were counted from its beginning, as far as it is recorded."""
        return self.queued_ns is not None and (
            self.finished_ns is None or self.output_tokens is not None
        )

    @property
    def first_ns(self) -> int:
        """The time of its arrival, else of its first mark."""
        return min(self.list_times(), default=0) if self.arrived_ns is None else self.arrived_ns

    @property
    def last_ns(self) -> int:
        """The time of its last mark."""
        return max(self.list_times(), default=0)

    def list_times(self) -> list[int]:
        """Return the times of all its marks."""
        return [time for slot in _TIMES.values() if (time := getattr(self, slot)) is not None]

    def add_mark(self, message: str, time: int, fields: dict[str, Any] | None) -> None:
        """Add one mark. The first of its kind counts."""
        if message == PREEMPTED:
            self.preemptions = (self.preemptions or 0) + 1
        elif message in _TIMES and getattr(self, _TIMES[message]) is None:
            fields = fields or {}
            wait_ns = fields.get("waited_ns")
            if message == "arrived" and isinstance(wait_ns, int) and 0 < wait_ns < LONGEST_WAIT_NS:
                time -= wait_ns  # the mark is set when the request is handed to the engine
            setattr(self, _TIMES[message], time)
            for key, value in fields.items():
                fact_type = str if key in _TEXT_FACTS else int
                if key in _FACTS and isinstance(value, fact_type) and not isinstance(value, bool):
                    setattr(self, key, value)

    def add_side(self, front: Request) -> None:
        """Add what the front end recorded; values that are set already stay."""
        for slot in (*_TIMES.values(), *_FACTS):
            if getattr(self, slot) is None:
                setattr(self, slot, getattr(front, slot))

    def has_mark(self, message: str) -> bool:
        """Return whether a mark of this kind was added."""
        return message in _TIMES and getattr(self, _TIMES[message]) is not None


def _subtract(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start
