"""The admission webhook and pods of any form: it allows every pod, and a second call is silent."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.webhook.injection import InjectionSettings
from autoinstr.webhook.review import answer_review
from tests.support.admission import IMAGE, LABEL, apply, decode, make_pod, review

SETTINGS = InjectionSettings(IMAGE)
NAMES = st.sampled_from(
    ["a", "b", "autoinstr", "recordings", "PYTHONPATH", "POD_NAME", "AUTOINSTR"]
)
PLACES = st.sampled_from(["/recordings", "/recordings/", "/data", "/opt/autoinstr-volume"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
VARIABLES = st.fixed_dictionaries(
    {"name": NAMES},
    optional={"value": st.sampled_from(["", "x", "$(a)"]), "valueFrom": st.just({"fieldRef": {}})},
)
MOUNTS = st.fixed_dictionaries({"name": NAMES, "mountPath": PLACES})
CONTAINERS = st.fixed_dictionaries(
    {"name": NAMES, "image": st.just("x")},
    optional={
        "env": st.none() | st.lists(VARIABLES, max_size=4),
        "volumeMounts": st.none() | st.lists(MOUNTS, max_size=3),
        "resources": st.sampled_from([{}, {"limits": {"cpu": "1"}}, {"requests": None}]),
    },
)


def by_name(item: Any) -> Any:
    return item["name"]


PODS = st.builds(
    make_pod,
    annotations=st.none()
    | st.dictionaries(
        st.sampled_from(["autoinstr.dev/container", "autoinstr.dev/options"]),
        st.sampled_from(["", "a", "a,b", "when=manual", "0", "a,autoinstr"]),
    ),
    containers=st.lists(CONTAINERS, min_size=1, max_size=3, unique_by=by_name),
    initContainers=st.none() | st.lists(CONTAINERS, max_size=2, unique_by=by_name),
    volumes=st.none() | st.lists(st.fixed_dictionaries({"name": NAMES}), unique_by=by_name),
)


def ask(pod: Any, **fields: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return response and patch for a pod."""
    return decode(json.loads(answer_review(json.dumps(review(pod, **fields)).encode(), SETTINGS)))


def is_kept(old: Any, new: Any) -> bool:
    """Return whether all that was there is there, in its order; PYTHONPATH may have more."""
    if isinstance(old, dict) and isinstance(new, dict):
        if old.get("name") == new.get("name") == "PYTHONPATH":
            return str(new.get("value", "")).endswith(str(old.get("value", "")))
        return all(key in new and is_kept(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        rest = iter(new)
        return all(any(is_kept(item, other) for other in rest) for item in old)
    return old is None or old == new


@given(PODS)
def test_a_pod_is_changed_once_and_keeps_what_it_has(pod: dict[str, Any]) -> None:
    original = copy.deepcopy(pod)
    _, patch = ask(pod)
    changed = apply(pod, patch)
    assert is_kept(original, changed)
    for kind in ("volumes", "initContainers", "containers"):
        names = [item["name"] for item in changed["spec"].get(kind) or []]
        assert len(names) == len(set(names))
    assert ask(changed)[1] == []


@given(st.data())
def test_any_value_at_any_place(data: st.DataObject) -> None:
    """Some part of a valid request is replaced by any JSON."""
    request = review(data.draw(PODS))
    place: Any = request
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    answer = json.loads(answer_review(json.dumps(request).encode(), SETTINGS))
    if not isinstance(request.get("request"), dict):
        assert decode(answer)[1] == []
        return
    _, patch = decode(answer)
    if patch:
        apply(request["request"]["object"], patch)


@given(st.binary(max_size=60))
def test_any_bytes(body: bytes) -> None:
    assert decode(json.loads(answer_review(body, SETTINGS)))[1] == []


def test_an_error_of_the_webhook_lets_the_pod_pass(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def raise_error(*_: Any) -> None:
        raise ValueError("a value of the pod")

    monkeypatch.setattr("autoinstr.webhook.review.inject", raise_error)
    monkeypatch.setattr("autoinstr.base.log._threshold", 0)
    assert ask(make_pod(labels={LABEL: "true"}))[1] == []
    said = capfd.readouterr().err
    assert "an error of the webhook: ValueError in raise_error" in said
    assert "a value of the pod" not in said
