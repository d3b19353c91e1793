"""Simulate a second machine: processes with their own host name, monotonic clock and boot id.

They run in UTS, time and mount namespaces. The wall clock is shared, so errors of NTP are not
simulated."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def elsewhere(folder: Path, host: str, boot: str, ahead_s: int) -> list[str]:
    """Return the words that run a command on a machine with this name and boot id.

    Its monotonic clock is ahead of this machine's. Skip the test, with the reason, if the kernel
    forbids it."""
    reason = _refused()
    if reason:
        pytest.skip(f"no namespaces for a second machine: {reason}")
    file = folder / f"boot-{host}"
    file.write_text(boot + "\n")
    script = f'hostname {host} && mount --bind {file} {BOOT_ID} && exec "$@"'
    return [
        "unshare",
        "--mount",
        "--uts",
        "--time",
        "--monotonic",
        str(ahead_s),
        "--",
        "sh",
        "-c",
        script,
        "sh",
    ]


@cache
def _refused() -> str:
    command = ["unshare", "--mount", "--uts", "--time", "--monotonic", "1", "--"]
    command += ["sh", "-c", f"hostname x && mount --bind /dev/null {BOOT_ID}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError as error:
        return str(error)
    return (done.stderr.strip() or f"exit status {done.returncode}") if done.returncode else ""
