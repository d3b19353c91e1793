"""The JSON Patch (RFC 6902) that adds the bundle to a pod.

An operation names the smallest field, so the values of other variables are not repeated in it.
Items are added at the end of a list, so the numbers of earlier items stay. Two items stand in
front: POD_NAME, because `$(POD_NAME)` works only behind it, and the init container, because other
init containers may use the bundle."""

from __future__ import annotations

from typing import Any

from autoinstr.webhook.manifest import Mapping, read_list, read_mapping, read_text

BUNDLE_MOUNT = "/opt/autoinstr-volume"
RECORDINGS_MOUNT = "/recordings"
GATE_FOLDER = f"{BUNDLE_MOUNT}/autoinstr/sitecustomize"
BUNDLE_SIZE = "64Mi"
# A copy that fails leaves nothing, and the program starts without the agent.
COPY_COMMAND = ["sh", "-c", "cp -r /autoinstr /target/ || rm -rf /target/autoinstr"]
POD_NAME = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
# What an admission policy may demand of each container, and what reading the volume may need.
_COPIED_SECURITY = ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile", "seLinuxOptions")
# What decides the pod's class of service (QoS), and what a quota may demand.
_COPIED_RESOURCES = ("cpu", "memory", "ephemeral-storage")

Operations = list[Mapping]


def add_items(
    parent: Mapping, path: str, key: str, items: list[Mapping], in_front: bool = False
) -> Operations:
    """Return the operations that add items to the list `key` of `parent`, whose place is `path`."""
    if not items:
        return []
    if not parent.get(key):
        return [{"op": "add", "path": f"{path}/{key}", "value": items}]
    position = "0" if in_front else "-"
    places = reversed(items) if in_front else items
    return [{"op": "add", "path": f"{path}/{key}/{position}", "value": item} for item in places]


def add_variables(container: Mapping, path: str, options: str) -> Operations:
    """Return the operations that set PYTHONPATH, POD_NAME and AUTOINSTR of a container.

    PYTHONPATH keeps its value behind the gate. The two others stay as they are where they exist."""
    variables = read_list(container, "env")
    names = [read_text(variable, "name") for variable in variables]
    operations: Operations = []
    new_variables: list[Mapping] = []
    if "PYTHONPATH" in names:
        index = find_last(names, "PYTHONPATH")
        old_value = read_text(variables[index], "value")
        value = f"{GATE_FOLDER}:{old_value}" if old_value else GATE_FOLDER
        operations.append({"op": "add", "path": f"{path}/env/{index}/value", "value": value})
    else:
        new_variables.append({"name": "PYTHONPATH", "value": GATE_FOLDER})
    if "AUTOINSTR" not in names:
        new_variables.append({"name": "AUTOINSTR", "value": options})
    pod_name = [] if "POD_NAME" in names else [POD_NAME]
    if not variables:
        return add_items(container, path, "env", pod_name + new_variables)
    operations += add_items(container, path, "env", new_variables)
    return operations + add_items(container, path, "env", pod_name, in_front=True)


def find_last(names: list[str], name: str) -> int:
    """Return the number of the last item of this name: its value is the one that counts."""
    return len(names) - 1 - names[::-1].index(name)


def make_init_container(name: str, volume: str, image: str, policy: str, model: Mapping) -> Mapping:
    """Return the init container that copies the bundle into a volume.

    It has the resources and the user of the container `model`. So it passes the quota and the
    policy that the pod passes, asks the scheduler for nothing, and keeps the class of service."""
    container: Mapping = {"name": name, "image": image, "command": list(COPY_COMMAND)}
    if policy:
        container["imagePullPolicy"] = policy
    security = read_mapping(model, "securityContext")
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        **_select(security, _COPIED_SECURITY),
    }
    resources = read_mapping(model, "resources")
    copied = {
        kind: _select(read_mapping(resources, kind), _COPIED_RESOURCES)
        for kind in ("limits", "requests")
    }
    copied = {kind: amounts for kind, amounts in copied.items() if amounts}
    if copied:
        container["resources"] = copied
    container["volumeMounts"] = [{"name": volume, "mountPath": "/target"}]
    return container


def _select(mapping: Mapping, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: mapping[key] for key in keys if mapping.get(key) is not None}
