"""Times of steps and requests, from the attributes of ranges and marks.

The definitions are those of the report (analysis/engine_step.py, analysis/request.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.agent.metrics.histogram import Histogram
from autoinstr.targets.step_parts import PART_KINDS, SERVING_DOMAINS, STARTING_KINDS, UPDATE

if TYPE_CHECKING:
    from autoinstr.emitters.recorder import Recorder

MAX_OPEN = 1 << 16  # steps or requests under way; beyond that the oldest are forgotten
MAX_REASONS = 16
TRAINING = "train"  # the phase of an optimizer's steps

# A number of a name, the start and the end of the range or mark, and its fields.
Event = tuple[int, int, int, dict[str, Any]]


class ServingTimes:
    """Sums up events in the order in which they ended."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._messages: dict[int, tuple[str, str]] = {}  # number -> domain and message
        self._steps: dict[str | None, tuple[int, str]] = {}  # step -> start and phase
        self._times: dict[str, dict[str, int]] = {}  # request -> time of each mark
        self._last_optimizer_step_ns = 0
        self.steps: dict[str, Histogram] = {}  # by phase
        self.queue, self.ttft, self.tpot = Histogram(), Histogram(), Histogram()
        self.endings: dict[str, int] = {}  # finished requests by reason

    def forget_numbers(self) -> None:
        """Forget the numbers of names: another recording has begun."""
        self._messages.clear()

    def add(self, event: Event) -> None:
        """Add one event."""
        number, start_ns, end_ns, fields = event
        if number not in self._messages:
            for (_, domain, message), known_number in self._recorder.list_message_numbers():
                self._messages[known_number] = domain, message
        domain, message = self._messages.get(number, ("", ""))
        if domain == "torch" and message == "step":
            self._add_optimizer_step(start_ns)
        elif domain in SERVING_DOMAINS and message.startswith("request."):
            self._add_mark(message[len("request.") :], start_ns, fields)
        elif domain in SERVING_DOMAINS and message in PART_KINDS:
            self._add_part(PART_KINDS[message], start_ns, end_ns, fields)

    def _add_optimizer_step(self, time_ns: int) -> None:
        if self._last_optimizer_step_ns:
            duration_ns = time_ns - self._last_optimizer_step_ns
            self.steps.setdefault(TRAINING, Histogram()).add(duration_ns)
        self._last_optimizer_step_ns = time_ns

    def _add_part(self, kind: str, start_ns: int, end_ns: int, fields: dict[str, Any]) -> None:
        step = fields.get("step")
        if kind in STARTING_KINDS:
            # A scheduler may call another one for the same step. The outer one ends last.
            self._steps.pop(step, None)
            _remember(self._steps, step, (start_ns, fields.get("phase", "")))
        elif kind == UPDATE and step in self._steps:
            known_start_ns, phase = self._steps.pop(step)
            self.steps.setdefault(phase or "none", Histogram()).add(end_ns - known_start_ns)

    def _add_mark(self, message: str, time_ns: int, fields: dict[str, Any]) -> None:
        request = str(fields.get("request", ""))
        if message == "arrived":
            time_ns -= int(fields.get("waited_ns") or 0)
        if message in ("arrived", "queued") and request not in self._times:
            _remember(self._times, request, {})
        times = self._times.get(request)
        if times is None:
            return
        times.setdefault(message, time_ns)
        if message == "scheduled" and "queued" in times:
            self.queue.add(max(0, time_ns - times["queued"]))
        elif message == "first_output" and "arrived" in times:
            self.ttft.add(max(0, time_ns - times["arrived"]))
        elif message == "finished":
            self._finish(times, time_ns, fields)
            self._drop_ended(request, times, "completed", "arrived")
        elif message == "completed":
            self._drop_ended(request, times, "finished", "queued")

    def _finish(self, times: dict[str, int], time_ns: int, fields: dict[str, Any]) -> None:
        tokens = fields.get("output_tokens")
        if isinstance(tokens, int) and tokens > 1 and "first_token" in times:
            self.tpot.add(max(0, time_ns - times["first_token"]) // (tokens - 1))
        reason = str(fields.get("reason", "unknown"))
        if reason not in self.endings and len(self.endings) >= MAX_REASONS:
            reason = "other"
        self.endings[reason] = self.endings.get(reason, 0) + 1

    def _drop_ended(self, request: str, times: dict[str, int], end: str, begin: str) -> None:
        """Forget a request that has ended here, on both sides if this process has both."""
        if end in times or begin not in times:
            del self._times[request]


def _remember(table: dict[Any, Any], key: Any, value: Any) -> None:
    if len(table) >= MAX_OPEN:
        del table[next(iter(table))]
    table[key] = value
