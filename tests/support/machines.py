"""Two machines on one: processes in a UTS, a time and a mount namespace of their own have their own
host name, monotonic clock and boot id.

What it leaves unproved: their wall clock is ours, so that nothing of what NTP leaves wrong is in
it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def elsewhere(folder: Path, host: str, boot: str, ahead_s: int) -> list[str]:
    """What to put in front of a command, so that it runs on a machine of that name and boot, whose
    monotonic clock is ahead of ours. Skips the test, with the reason, where the kernel does not let
    us."""
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
