"""The folders of the export: `<host>_<pid>_<time>_ascend_pt` for each process, as torch_npu names
them, which appear whole or not at all.

A folder that this command made before is filled anew; one of anybody else's is left alone, and
nothing is written. What is not whole yet lies in a new folder that nobody else may enter: `out` may
be a folder that others can write to."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr import __version__
from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.base.file_owner import trusted
from autoinstr.device.ascend.profiles import OUTPUT, SUFFIX
from autoinstr.report.output import new_file

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

METADATA = "profiler_metadata.json"
MADE_BY = "autoinstr"  # key of METADATA: the folder is ours
_OURS = re.compile(r"(ascend_pytorch_profiler(_\d+)?\.db|profiler_info(_\d+)?\.json)(-journal)?")


class Folder(NamedTuple):
    """Where one process's profile goes, and where it is made."""

    path: str
    work: str
    rank: int

    @property
    def database(self) -> str:
        """The file to write the database to: until it is whole, it has no name that a tool looks
        for."""
        return os.path.join(self.work, OUTPUT, "unfinished")


class Folders:
    """All folders of one export, below `out`. Use as a context: what was made is put into its place
    at the end of it, or removed."""

    def __init__(self, out: str) -> None:
        self.out = out
        self._folders: list[Folder] = []

    def __enter__(self) -> Folders:
        return self

    def add(self, recording: Recording, rank: int) -> Folder:
        """The folder of a process. UsageError where something stands in its place that is not
        ours."""
        name = _name(recording, {os.path.basename(one.path) for one in self._folders})
        path = os.path.join(self.out, name)
        if os.path.lexists(path) and not _is_ours(path):
            raise UsageError(
                f"{path}: is there and was not made by this command; remove it, or name another folder with -o"
            )
        try:
            os.makedirs(self.out, exist_ok=True)
            folder = Folder(path, tempfile.mkdtemp(prefix=f".{name}.part-", dir=self.out), rank)
            self._folders.append(folder)
            os.mkdir(os.path.join(folder.work, OUTPUT))
        except OSError as error:
            raise AutoinstrError(
                f"{self.out}: cannot be written: {error.strerror} (give another folder with -o)"
            ) from error
        return folder

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for folder in self._folders:
                    _place(folder)
        except OSError as error:
            raise AutoinstrError(
                f"{self.out}: cannot be written: {error.strerror} (give another folder with -o)"
            ) from error
        finally:
            for folder in self._folders:
                shutil.rmtree(folder.work, ignore_errors=True)


def describe(
    folder: Folder, recording: Recording, trace: dict[str, Any] | None, run: str
) -> dict[str, Any]:
    """Write the two JSON files beside a database: `trace` is what the trace says of itself. Returns
    what METADATA says of us."""
    made_by = {
        "version": __version__,
        "run": os.path.abspath(run),
        "recording": os.path.basename(recording.file),
        "trace": trace,
    }
    settings = {
        key: bool(value)
        for key, value in (trace or {}).items()
        if key in ("with_stack", "record_shapes", "profile_memory")
    }
    activities = (trace or {}).get("activities", [])
    config = {
        "common_config": {"activities": activities, **settings, "made_by": MADE_BY},
        "experimental_config": {"_export_type": ["db"], "_mstx": True},
    }
    with open(
        os.path.join(folder.work, f"profiler_info_{folder.rank}.json"),
        "w",
        encoding="utf-8",
        opener=new_file,
    ) as stream:
        json.dump({"config": config, "rank_id": folder.rank}, stream, indent=2)
    with open(
        os.path.join(folder.work, METADATA), "w", encoding="utf-8", opener=new_file
    ) as stream:
        json.dump({MADE_BY: made_by}, stream, indent=2)
    return made_by


def _name(recording: Recording, taken: set[str]) -> str:
    wall_ns = recording.clock_pairs[0][0]
    host = re.sub(r"[^\w.-]", "-", recording.host) or "host"
    at_ms = wall_ns // 1_000_000
    while True:
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(at_ms // 1000)) + f"{at_ms % 1000:03d}"
        name = f"{host}_{recording.pid}_{stamp}{SUFFIX}"
        if name not in taken:
            return name
        at_ms += 1  # two containers may have one host name and one process number


def _is_ours(path: str) -> bool:
    """What is written into it is meant to be there: no link leads elsewhere, and nobody else can
    exchange it."""
    try:
        inside = os.path.join(path, OUTPUT)
        for folder in [path, *([inside] if os.path.lexists(inside) else [])]:
            status = os.lstat(folder)
            if not stat.S_ISDIR(status.st_mode) or not trusted(status):
                return False
        with open(os.path.join(path, METADATA), encoding="utf-8") as stream:
            return MADE_BY in json.load(stream)
    except (OSError, ValueError, TypeError):
        return False


def _place(folder: Folder) -> None:
    """A new folder is moved as a whole; in one of ours the database goes last."""
    output = os.path.join(folder.work, OUTPUT)
    os.rename(folder.database, os.path.join(output, f"ascend_pytorch_profiler_{folder.rank}.db"))
    if not os.path.lexists(folder.path):
        os.chmod(
            folder.work, stat.S_IMODE(os.stat(output).st_mode)
        )  # by the umask, as the one in it
        os.rename(folder.work, folder.path)
        return
    for inside in ("", OUTPUT):
        place = os.path.join(folder.path, inside)
        os.makedirs(place, exist_ok=True)
        fresh = [name for name in os.listdir(os.path.join(folder.work, inside)) if name != OUTPUT]
        for name in fresh:
            os.replace(os.path.join(folder.work, inside, name), os.path.join(place, name))
        for name in os.listdir(place):
            if (
                _OURS.fullmatch(name) and name not in fresh
            ):  # of another rank: the run had fewer processes then
                os.unlink(os.path.join(place, name))
