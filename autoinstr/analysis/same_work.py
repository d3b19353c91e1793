"""Ranks that run the same work: each has a scheduler of its own, and all get the same requests.

The launcher starts vLLM so (`external_launcher`, as training code does): every rank of a
tensor-parallel group is EngineCore and Worker in one process. Their requests and steps are one
rank's work, which a run has once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, TypeVar

from autoinstr.analysis.engine_step import EngineStep
from autoinstr.analysis.request import Request

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from autoinstr.recording.reader import Recording

# What vLLM appends to the client's id, different in each process.
_RANDOM_SUFFIX = re.compile(r"-[0-9a-f]{8}$")
NAMED_RANKS = 8  # ranks that a line names
_Item = TypeVar("_Item", Request, EngineStep)


def find_leaders(recordings: Sequence[Recording]) -> dict[int, int]:
    """Map the index of each recording whose work another rank has too to that rank's index.

    With data parallelism, each group has its own requests."""
    groups: dict[Hashable, list[int]] = {}
    for index, recording in enumerate(recordings):
        size = recording.world_size
        is_whole_engine = {"EngineCore", "Worker"} <= set(recording.roles)
        if is_whole_engine and isinstance(recording.rank, int) and size is not None and size > 1:
            fields = recording.header
            key = (fields.get("run"), size, fields.get("dp_rank"), fields.get("restart"))
            groups.setdefault(key, []).append(index)
    leaders = {}
    for indices in groups.values():
        ranks = [recordings[index].rank for index in indices]
        if len(set(ranks)) == len(ranks):
            first = min(indices, key=lambda index: recordings[index].rank or 0)
            leaders.update({index: first for index in indices if index != first})
    return leaders


def describe_same_work(recordings: Sequence[Recording]) -> list[str]:
    """Return a line for each group of ranks that run the same work."""
    followers: dict[int, list[int]] = {}
    for index, leader in find_leaders(recordings).items():
        followers.setdefault(leader, []).append(index)
    lines = []
    for leader, others in followers.items():
        ranks = sorted(recordings[index].rank or 0 for index in (leader, *others))
        names = ", ".join(map(str, ranks[:NAMED_RANKS])) + (", …" * (len(ranks) > NAMED_RANKS))
        lines.append(
            f"ranks {names} of {recordings[leader].world_size} each ran the engine: the same "
            "requests and steps of several ranks are counted once"
        )
    return lines


def join_same_requests(requests: Iterable[Request], leaders: dict[int, int]) -> list[Request]:
    """Return the requests without those that the leading rank has too."""
    pairs = _pair_with_leader(list(requests), leaders, _name_request)
    return [
        request
        for request, twin in pairs
        if twin is None or not _may_be_equal(twin.prompt_tokens, request.prompt_tokens)
    ]


def join_same_steps(steps: Iterable[EngineStep], leaders: dict[int, int]) -> list[EngineStep]:
    """Return the steps without those that the leading rank has too.

    Of their parts the longest rank counts, as for ranks under one scheduler."""
    remaining = []
    for step, twin in _pair_with_leader(list(steps), leaders, _name_step):
        if twin is None or not _may_be_equal(twin.tokens, step.tokens):
            remaining.append(step)
        else:
            twin.execute_ns = _choose_longer(twin.execute_ns, step.execute_ns)
            twin.sample_ns = _choose_longer(twin.sample_ns, step.sample_ns)
    return remaining


def strip_random_suffix(request: str) -> str:
    """Return the part of a request's id that is the same in all ranks."""
    return _RANDOM_SUFFIX.sub("", request)


def _name_request(request: Request) -> str:
    return strip_random_suffix(request.id)


def _name_step(step: EngineStep) -> str:
    request, _, computed = (step.step or "").rpartition("@")
    return f"{strip_random_suffix(request)}@{computed}"


def _pair_with_leader(
    items: list[_Item], leaders: dict[int, int], make_name: Callable[[_Item], str]
) -> Iterator[tuple[_Item, _Item | None]]:
    """Yield each item with the leading rank's item of the same name; None if there is none.

    The n-th item of a name in a process is paired with the n-th of the leading rank."""
    counts: dict[tuple[int, str], int] = {}
    numbered: list[tuple[_Item, str, int]] = []
    for item in items:
        name = make_name(item)
        count = counts[item.process, name] = counts.get((item.process, name), -1) + 1
        numbered.append((item, name, count))
    of_leaders = {
        (item.process, name, count): item
        for item, name, count in numbered
        if item.process not in leaders
    }
    for item, name, count in numbered:
        leader = leaders.get(item.process)
        yield item, None if leader is None else of_leaders.get((leader, name, count))


def _may_be_equal(a: int | None, b: int | None) -> bool:
    return a is None or b is None or a == b


def _choose_longer(a: int | None, b: int | None) -> int | None:
    return max((time for time in (a, b) if time is not None), default=None)
