"""Decide whether a pod gets the bundle, and in which of its containers.

Whatever forbids it leaves the pod unchanged, with a reason. A reason has no value of the pod's
environment and is written to the log. A warning also goes to whoever creates the pod."""

from __future__ import annotations

import posixpath
from itertools import count
from typing import NamedTuple

from autoinstr.base.errors import ConfigError
from autoinstr.config.inline_syntax import is_off, parse_inline
from autoinstr.webhook.manifest import Mapping, Unreadable, read_list, read_mapping, read_text
from autoinstr.webhook.patch import (
    BUNDLE_MOUNT,
    BUNDLE_SIZE,
    RECORDINGS_MOUNT,
    Operations,
    add_items,
    add_variables,
    find_last,
    make_init_container,
)

INJECT = "autoinstr.dev/inject"  # the label; as an annotation only "false" counts
CONTAINER = "autoinstr.dev/container"
OPTIONS = "autoinstr.dev/options"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
MIRROR = "kubernetes.io/config.mirror"
DEFAULT_OPTIONS = f"out={RECORDINGS_MOUNT}/run,when=manual"


class InjectionSettings(NamedTuple):
    """What the operator of the webhook sets: image and pull policy ("": Kubernetes' default) of the
    init container, AUTOINSTR of pods without the annotation, size of the recordings' volume."""

    init_image: str
    pull_policy: str = ""
    options: str = DEFAULT_OPTIONS
    recordings_size: str = "4Gi"


class Injection(NamedTuple):
    """What happens to a pod. `patch` is empty if it stays unchanged; then `reason` says why."""

    patch: Operations
    containers: tuple[str, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = ()


class _Place(NamedTuple):
    """A container and its place in the pod, a JSON Pointer."""

    path: str
    container: Mapping


def inject(pod: Mapping, settings: InjectionSettings) -> Injection:
    """Return what happens to a pod that is created. Raises Unreadable.

    A pod that has the bundle stays unchanged, so a second call changes nothing."""
    reason = _find_refusal(pod)
    if reason:
        return Injection([], reason=reason)
    metadata, spec = read_mapping(pod, "metadata"), read_mapping(pod, "spec")
    annotations = read_mapping(metadata, "annotations")
    places = _list_places(spec)
    if any(BUNDLE_MOUNT in _list_mounts(place.container) for place in places):
        return Injection([], reason=f"a container has a mount at {BUNDLE_MOUNT}")
    if _is_windows(spec):
        return _refuse("this is a Windows pod")
    try:
        options = choose_options(read_text(annotations, OPTIONS), settings.options)
    except ConfigError as error:
        reason = f"the annotation {OPTIONS} is not valid"
        return Injection([], reason=reason, warnings=(f"{reason}: {error}",))
    chosen, warnings = _choose_places(places, annotations)
    usable = []
    for place in chosen:
        problem = _find_problem(place.container)
        if problem:
            warnings.append(f"container {read_text(place.container, 'name')} {problem}")
        else:
            usable.append(place)
    if not usable:
        return Injection([], reason="no container can be changed", warnings=tuple(warnings))
    for place in usable:
        if OPTIONS in annotations and "AUTOINSTR" in _list_variables(place.container):
            name = read_text(place.container, "name")
            warnings.append(f"container {name} keeps its AUTOINSTR; {OPTIONS} is not used for it")
    names = tuple(read_text(place.container, "name") for place in usable)
    patch = _make_patch(spec, places, usable, options, settings)
    return Injection(patch, names, warnings=tuple(warnings))


def choose_options(annotation: str, default: str) -> str:
    """Return the value of AUTOINSTR. An annotation without `out` gets the recordings' volume.

    Raises ConfigError if the annotation has the name of no option."""
    value = annotation.strip()
    if not value:
        return default
    options = parse_inline(value, f"annotation {OPTIONS}", [])
    if is_off(value) or "out" in options or "config" in options:
        return value
    return f"{value},out={RECORDINGS_MOUNT}/run"


def _refuse(reason: str) -> Injection:
    return Injection([], reason=reason, warnings=(reason,))


def _find_refusal(pod: Mapping) -> str:
    """Return why a pod is not to be looked at, "" if it is."""
    metadata = read_mapping(pod, "metadata")
    annotations = read_mapping(metadata, "annotations")
    if read_mapping(metadata, "labels").get(INJECT) != "true":
        return f'the label {INJECT} is not "true"'
    if annotations.get(INJECT) == "false":
        return f'the annotation {INJECT} is "false"'
    if MIRROR in annotations:  # the kubelet has started it from a file, and changes nothing
        return "this is the mirror of a static pod"
    return ""


def _is_windows(spec: Mapping) -> bool:
    selector = read_mapping(spec, "nodeSelector")
    names = (read_mapping(spec, "os").get("name"), selector.get("kubernetes.io/os"))
    return "windows" in names


def _list_places(spec: Mapping) -> list[_Place]:
    """Return the containers of a pod, then its init containers and sidecars."""
    places = [
        _Place(f"/spec/{key}/{index}", container)
        for key in ("containers", "initContainers")
        for index, container in enumerate(read_list(spec, key))
    ]
    if not read_list(spec, "containers") or not all(
        read_text(place.container, "name") for place in places
    ):
        raise Unreadable("a container has no name, or there is none")
    return places


def _choose_places(places: list[_Place], annotations: Mapping) -> tuple[list[_Place], list[str]]:
    """Return the containers that the annotation names, and a warning for each missing name.

    Without the annotation it is the container that `kubectl exec` uses: the one of kubectl's
    annotation, else the first."""
    by_name = {read_text(place.container, "name"): place for place in places}
    names = [name.strip() for name in read_text(annotations, CONTAINER).split(",")]
    names = list(dict.fromkeys(name for name in names if name))
    if not names:
        return [by_name.get(read_text(annotations, DEFAULT_CONTAINER), places[0])], []
    missing = [f"the pod has no container {name}" for name in names if name not in by_name]
    return [by_name[name] for name in names if name in by_name], missing


def _list_variables(container: Mapping) -> list[str]:
    return [read_text(variable, "name") for variable in read_list(container, "env")]


def _list_mounts(container: Mapping) -> list[str]:
    mounts = read_list(container, "volumeMounts")
    return [posixpath.normpath(read_text(mount, "mountPath")) for mount in mounts]


def _find_problem(container: Mapping) -> str:
    """Return why a container cannot be changed, "" if it can."""
    names = _list_variables(container)
    if "PYTHONPATH" in names:
        variable = read_list(container, "env")[find_last(names, "PYTHONPATH")]
        if variable.get("valueFrom") is not None:
            return "takes PYTHONPATH from valueFrom, which has no text to put ours before"
    return ""


def _make_patch(
    spec: Mapping,
    places: list[_Place],
    usable: list[_Place],
    options: str,
    settings: InjectionSettings,
) -> Operations:
    volume_names = {read_text(volume, "name") for volume in read_list(spec, "volumes")}
    container_names = {read_text(place.container, "name") for place in places}
    bundle = _find_free_name("autoinstr", volume_names)
    recordings = _find_free_name("recordings", volume_names)
    bundle_mount: Mapping = {"name": bundle, "mountPath": BUNDLE_MOUNT, "readOnly": True}
    recordings_mount: Mapping = {"name": recordings, "mountPath": RECORDINGS_MOUNT}
    volumes: Operations = [{"name": bundle, "emptyDir": {"sizeLimit": BUNDLE_SIZE}}]
    patch: Operations = []
    for path, container in usable:
        mounts = [bundle_mount]
        if RECORDINGS_MOUNT not in _list_mounts(container):  # else: a volume of the user's
            mounts.append(recordings_mount)
        patch += add_variables(container, path, options)
        patch += add_items(container, path, "volumeMounts", mounts)
        if recordings_mount in mounts and len(volumes) == 1:
            size = {"sizeLimit": settings.recordings_size} if settings.recordings_size else {}
            volumes.append({"name": recordings, "emptyDir": size})
    patch += add_items(spec, "/spec", "volumes", volumes)
    init_container = make_init_container(
        _find_free_name("autoinstr", container_names),
        bundle,
        settings.init_image,
        settings.pull_policy,
        usable[0].container,
    )
    # Last, because it moves the numbers of the other init containers.
    return patch + add_items(spec, "/spec", "initContainers", [init_container], in_front=True)


def _find_free_name(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in count(2) if f"{name}-{number}" not in taken)
