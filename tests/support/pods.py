"""Run the containers of a Kubernetes pod template without a cluster, each in its own root folder.

The roots are made in mount namespaces. Real: commands, environment, users, volumes, read-only
roots and mounts. Not real: images (folders of this machine replace them), the kubelet,
capabilities, seccomp, fsGroup."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

SCRIPT = r"""
set -e
root=$1 read_only=$2 user=$3 group=$4 binds=$5
shift 5
mount -t tmpfs none "$root"
for folder in usr bin lib lib64 etc proc dev; do
    if [ -e "/$folder" ]; then mkdir "$root/$folder"; mount --rbind "/$folder" "$root/$folder"; fi
done
mkdir -m 1777 "$root/tmp"
for bind in $binds; do
    source=${bind%%:*} rest=${bind#*:}
    mkdir -p "$root/${rest%%:*}"
    mount --bind "$source" "$root/${rest%%:*}"
    if [ "${rest##*:}" = ro ]; then mount -o remount,bind,ro "$root/${rest%%:*}"; fi
done
if [ "$read_only" = True ]; then mount -o remount,ro "$root"; fi
exec unshare --root="$root" --wd=/ --setgid "$group" --setuid "$user" -- "$@"
"""


NAME = "serve-5d9c7b6f4-x2x7p"


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a container in a pod with this NAME.

    As in Kubernetes, $(X) is replaced only if X is earlier in the list."""
    made: dict[str, str] = {}
    for each in container.get("env", []):
        assert ("value" in each) != ("valueFrom" in each), each  # Kubernetes refuses both
        if "valueFrom" in each:
            assert each["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}, each
        value = each.get("value", NAME)
        made[each["name"]] = re.sub(
            r"\$\((\w+)\)", lambda found: made.get(found[1], found[0]), value
        )
    return made


class Pod:
    """The containers of `template` (spec.template of a workload).

    `images` maps an image to (its command, its environment, its folders: target -> folder of this
    machine)."""

    def __init__(
        self,
        template: dict[str, Any],
        images: dict[str, tuple[list[str], dict[str, str], dict[str, Path]]],
        folder: Path,
    ) -> None:
        self.spec = template["spec"]
        self.images = images
        self.folder = folder
        folder.chmod(0o755)
        self.volumes = {
            volume["name"]: folder / "volumes" / volume["name"] for volume in self.spec["volumes"]
        }
        for volume in self.spec["volumes"]:
            assert "emptyDir" in volume, volume
            self.volumes[volume["name"]].mkdir(parents=True)
            self.volumes[volume["name"]].chmod(0o777)  # as the kubelet makes one

    def start(
        self, container: dict[str, Any], command: list[str] | None = None, **env: str
    ) -> subprocess.Popen[str]:
        """Start one container.

        `command` replaces its command, as `kubectl exec` does. `env` adds variables, as a change
        of the manifest would."""
        entrypoint, own, folders = self.images[container["image"]]
        words = command or [*container.get("command", entrypoint), *container.get("args", [])]
        environ = {"PATH": "/usr/bin:/bin", **own, **environment(container), **env}
        binds = [f"{source}:{place}:ro" for place, source in folders.items()]
        for mount in container["volumeMounts"]:
            mode = "ro" if mount.get("readOnly") else "rw"
            binds.append(f"{self.volumes[mount['name']]}:{mount['mountPath']}:{mode}")
        user = self.spec["securityContext"]
        root = self.folder / f"root-{container['name']}"
        root.mkdir(exist_ok=True)
        arguments = [
            root,
            container["securityContext"]["readOnlyRootFilesystem"],
            user["runAsUser"],
            user["runAsGroup"],
            " ".join(binds),
        ]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", *map(str, arguments), *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def run(
        self, container: dict[str, Any], command: list[str] | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(container, command, **env)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
