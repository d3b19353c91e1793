"""Run programs as in a container: read-only except for one folder, without a home, as nobody.

This needs root and mount namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.interpreters import MADE, interpreter

NOBODY = 65534
SCRIPT = r"""
set -e
sealed=$1 root=$2 binds=$3
shift 3
for pair in $binds; do
    mount --bind "${pair%%=*}" "${pair##*=}"
    mount -o remount,bind,ro "${pair##*=}"
done
mount --bind "$sealed/work" "$sealed/work"
if [ "$root" != / ]; then
    mkdir -p "$root$sealed" "$root/proc"
    mount --rbind "$sealed" "$root$sealed"
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -o remount,bind,ro "$root"
    mount --rbind "$sealed" "$root$sealed"
fi
mount -o remount,bind,ro /
exec unshare --root="$root" --wd="$sealed/work" --setgid 65534 --setuid 65534 -- "$@"
"""


def impossible() -> str:
    """Return why this machine cannot run sealed programs, or ""."""
    if os.getuid() != 0:
        return "needs root, to mount read-only and to become nobody"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
    )
    return "" if tried.returncode == 0 else f"needs mount namespaces: {tried.stderr.strip()}"


class Sealed:
    """A sealed place: `bind` adds a read-only folder, and `run` runs Python in it.

    The folder `work` is the working directory, and the only one that can be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = self.bare_folder("work")
        os.chown(self.work, NOBODY, NOBODY)
        self._binds: dict[Path, Path] = {}

    def bare_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        return folder

    def bind(self, source: Path, name: str) -> Path:
        """Add `source` read-only; return the path at which programs see it."""
        place = self.bare_folder(name)
        self._binds[place] = source
        return place

    def program(self, name: str, text: str) -> Path:
        """Write a file that everybody can read; return its path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def run(
        self, version: str, *args: str | Path, env: dict[str, str], command: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run this Python, or `command` with the Python's root.

        Return the result of subprocess.run. The environment has only `env`."""
        found = interpreter(version)
        assert found is not None
        made = Path(found).is_relative_to(MADE)
        binds = dict(self._binds)
        if made:
            python = f"/usr/bin/python{version}"
        else:
            home = Path(os.path.realpath(found)).parents[1]
            place = self.folder / f"python{version}"
            place.mkdir(exist_ok=True)
            binds[place] = home
            (self.folder / "empty").mkdir(
                exist_ok=True
            )  # what somebody has installed there is no part of the test
            binds[place / "lib" / f"python{version}" / "site-packages"] = self.folder / "empty"
            python = f"{place}/bin/python{version}"
            env = {
                "LD_LIBRARY_PATH": f"{place}/lib",
                **env,
            }  # pyenv's find their library by its place in a home that is closed here
        root = str(MADE / f"python{version}") if made else "/"
        pairs = " ".join(f"{source}={place}" for place, source in binds.items())
        return subprocess.run(
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                SCRIPT,
                "sh",
                str(self.folder),
                root,
                pairs,
                *(command or (python,)),
                *map(str, args),
            ],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )


@contextmanager
def sealed() -> Iterator[Sealed]:
    folder = Path(
        tempfile.mkdtemp(prefix="autoinstr-sealed-")
    )  # not pytest's tmp_path, which is closed to others
    folder.chmod(0o755)
    try:
        yield Sealed(folder)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(MADE / "python3.14" / folder.relative_to("/"), ignore_errors=True)
