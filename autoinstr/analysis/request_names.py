"""Names by which a reader can tell the requests of a run apart."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from autoinstr.analysis.same_work import strip_random_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoinstr.analysis.request import Request

# vLLM makes n requests of one with `n=…`: the number of the child, and the id of the parent.
_CHILD = re.compile(r"(\d+)_(.+)", re.DOTALL)


def set_names(requests: Sequence[Request]) -> None:
    """Give each request the id that the client knows, or what tells it from its namesakes.

    A part of a request with `n=3` is `<id>/<number>`. Other requests with one id have vLLM's
    internal id, or the number of their use of it."""
    children = _find_children(requests)
    for request in requests:
        request.name = request.external or request.id
        parent = children.get(id(request))
        if parent is not None:
            request.name = f"{request.external or strip_random_suffix(parent[0])}/{parent[1]}"
    for request in _select_namesakes(requests):
        request.name = request.id
    counts: Counter[str] = Counter()
    for request in _select_namesakes(requests):
        counts[request.name] += 1
        if counts[request.name] > 1:
            request.name = f"{request.name}#{counts[request.name]}"


def count_client_requests(requests: Sequence[Request]) -> int:
    """Return the number of requests that clients sent: parts of one request count once."""
    children = _find_children(requests)
    parents = {
        (request.process, children[id(request)][0])
        for request in requests
        if id(request) in children
    }
    return len(requests) - len(children) + len(parents)


def _find_children(requests: Iterable[Request]) -> dict[int, tuple[str, int]]:
    """Map the identity of each part of a request to the parent's internal id and its number there.

    A client may choose an id that looks like a part's. So the parent's id must be the one that the
    client knows, or, where that was not recorded, several parts must have it."""
    children: dict[int, tuple[str, int]] = {}
    siblings: Counter[tuple[int, str]] = Counter()
    uncertain: dict[int, tuple[int, str]] = {}
    for request in requests:
        match = _CHILD.fullmatch(request.id)
        if match is None:
            continue
        parent = match[2]
        if request.external is None:
            uncertain[id(request)] = request.process, parent
            siblings[request.process, parent] += 1
        elif request.external not in (parent, strip_random_suffix(parent)):
            continue
        children[id(request)] = parent, int(match[1])
    return {
        key: child
        for key, child in children.items()
        if key not in uncertain or siblings[uncertain[key]] > 1
    }


def _select_namesakes(requests: Iterable[Request]) -> list[Request]:
    requests = list(requests)
    counts = Counter(request.name for request in requests)
    return [request for request in requests if counts[request.name] > 1]
