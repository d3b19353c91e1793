"""Answer an AdmissionReview (admission.k8s.io/v1): every pod is allowed.

A request that cannot be read, and an error in this program, leave the pod unchanged."""

from __future__ import annotations

import base64
import json
import traceback
from typing import Any, NamedTuple

from autoinstr.base.log import get_logger
from autoinstr.webhook.injection import Injection, InjectionSettings, inject
from autoinstr.webhook.manifest import Mapping, Unreadable, read_mapping, read_text

VERSION = "admission.k8s.io/v1"
# The API server cuts a warning at 256 characters, and all of a response at 4,096.
MAX_WARNING_CHARS = 256
MAX_WARNINGS = 16


class _Request(NamedTuple):
    """The parts of an AdmissionReview that are used, {} and "" where they cannot be read."""

    fields: Mapping
    uid: str = ""
    problem: str = ""


def answer_review(body: bytes, settings: InjectionSettings) -> bytes:
    """Return the AdmissionReview that answers `body`, and log the decision in one line."""
    request = _read_request(body)
    if request.problem:
        injection = Injection([], reason=request.problem)
    else:
        injection = _decide(request.fields, settings)
    response: dict[str, Any] = {"uid": request.uid, "allowed": True}
    if injection.patch:
        text = json.dumps(injection.patch, ensure_ascii=True).encode("ascii")
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(text).decode("ascii")
    if injection.warnings:
        response["warnings"] = [_format_warning(text) for text in injection.warnings][:MAX_WARNINGS]
    _log_decision(request, injection)
    review = {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}
    return json.dumps(review).encode("ascii")


def _read_request(body: bytes) -> _Request:
    try:
        review = json.loads(body)
    except (ValueError, RecursionError):
        return _Request({}, problem="the request is not JSON")
    if not isinstance(review, dict) or not isinstance(review.get("request"), dict):
        return _Request({}, problem="the request is not an AdmissionReview")
    fields = review["request"]
    uid = fields.get("uid")
    if not isinstance(uid, str) or review.get("apiVersion") != VERSION:
        uid = uid if isinstance(uid, str) else ""
        return _Request({}, uid, f"the request is not of {VERSION}")
    return _Request(fields, uid)


def _decide(request: Mapping, settings: InjectionSettings) -> Injection:
    try:
        kind = read_mapping(request, "kind")
        if (kind.get("group"), kind.get("version"), kind.get("kind")) != ("", "v1", "Pod"):
            return Injection([], reason="this is not a pod")
        if request.get("operation") != "CREATE" or request.get("subResource"):
            return Injection([], reason="the pod is not being created")
        return inject(read_mapping(request, "object"), settings)
    except Unreadable as error:
        return Injection([], reason=f"the pod cannot be read: {error}")
    except Exception as error:  # the pod starts all the same
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {place.name}, line {place.lineno}"
        return Injection([], reason=f"an error of the webhook: {where}")


def _format_warning(text: str) -> str:
    """Return a warning in the printable ASCII that an HTTP header can have."""
    line = "".join(letter if " " <= letter <= "~" else "?" for letter in f"autoinstr: {text}")
    return line[:MAX_WARNING_CHARS]


def _log_decision(request: _Request, injection: Injection) -> None:
    """Write who got what and why. The values of variables are not in it."""
    fields: dict[str, object] = {}
    try:
        metadata = read_mapping(read_mapping(request.fields, "object"), "metadata")
        fields["namespace"] = read_text(request.fields, "namespace")
        fields["pod"] = read_text(metadata, "name") or f"{read_text(metadata, 'generateName')}*"
    except Unreadable:
        pass
    fields["uid"] = request.uid
    if injection.patch:
        fields["containers"] = ",".join(injection.containers)
    else:
        fields["reason"] = injection.reason
    if injection.warnings and injection.warnings != (injection.reason,):
        fields["warnings"] = "; ".join(injection.warnings)
    get_logger().info("pod injected" if injection.patch else "pod unchanged", **fields)
