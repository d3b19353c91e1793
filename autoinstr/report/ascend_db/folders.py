"""The folders of the export: one `<host>_<pid>_<time>_ascend_pt` for each process.

The names are torch_npu's. All folders appear at the end of the export, or none. A folder that this
command made before is replaced. A folder that somebody else made is left alone, and nothing is
written. Unfinished files lie in a new folder that nobody else may enter, because other users may be
allowed to write to the output directory.
"""

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
from autoinstr.base.file_owner import is_trusted
from autoinstr.device.ascend.profiles import OUTPUT, SUFFIX
from autoinstr.report.output import create_file

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

METADATA = "profiler_metadata.json"
MADE_BY = "autoinstr"  # this key in METADATA marks a folder that this command made
TRACE_SETTINGS = ("with_stack", "record_shapes", "profile_memory")
_OUR_FILES = re.compile(
    r"(ascend_pytorch_profiler(_\d+)?\.db|profiler_info(_\d+)?\.json)(-journal)?"
)


class ExportFolder(NamedTuple):
    """The folder of one process: its final `path`, and the `work` folder where it is made."""

    path: str
    work: str
    rank: int

    @property
    def database(self) -> str:
        """Path of the database while it is written; no tool looks for this name."""
        return os.path.join(self.work, OUTPUT, "unfinished")


class ExportFolders:
    """All folders of one export, below `directory`.

    Use it as a context manager. At its end the folders get their final names; after an error they
    are removed.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._folders: list[ExportFolder] = []

    def __enter__(self) -> ExportFolders:
        return self

    def add(self, recording: Recording, rank: int) -> ExportFolder:
        """Make the folder of a process. Raise UsageError if another tool's file has its path."""
        names = {os.path.basename(folder.path) for folder in self._folders}
        name = _choose_name(recording, names)
        path = os.path.join(self.directory, name)
        if os.path.lexists(path) and not _is_ours(path):
            raise UsageError(
                f"{path}: exists and was not made by this command; "
                "remove it, or name another folder with -o"
            )
        try:
            os.makedirs(self.directory, exist_ok=True)
            work = tempfile.mkdtemp(prefix=f".{name}.part-", dir=self.directory)
            folder = ExportFolder(path, work, rank)
            self._folders.append(folder)
            os.mkdir(os.path.join(folder.work, OUTPUT))
        except OSError as error:
            raise self._make_error(error) from error
        return folder

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for folder in self._folders:
                    _publish(folder)
        except OSError as error:
            raise self._make_error(error) from error
        finally:
            for folder in self._folders:
                shutil.rmtree(folder.work, ignore_errors=True)

    def _make_error(self, error: OSError) -> AutoinstrError:
        return AutoinstrError(
            f"{self.directory}: cannot be written: {error.strerror} (give another folder with -o)"
        )


def write_metadata_files(
    folder: ExportFolder, recording: Recording, trace: dict[str, Any] | None, run: str
) -> dict[str, Any]:
    """Write the two JSON files next to a database.

    `trace` holds the facts of the trace. Return the entry of METADATA that describes the export.
    """
    export_facts = {
        "version": __version__,
        "run": os.path.abspath(run),
        "recording": os.path.basename(recording.file),
        "trace": trace,
    }
    settings = {key: bool(value) for key, value in (trace or {}).items() if key in TRACE_SETTINGS}
    activities = (trace or {}).get("activities", [])
    config = {
        "common_config": {"activities": activities, **settings, "made_by": MADE_BY},
        "experimental_config": {"_export_type": ["db"], "_mstx": True},
    }
    info = {"config": config, "rank_id": folder.rank}
    _write_json(os.path.join(folder.work, f"profiler_info_{folder.rank}.json"), info)
    _write_json(os.path.join(folder.work, METADATA), {MADE_BY: export_facts})
    return export_facts


def _write_json(path: str, value: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8", opener=create_file) as stream:
        json.dump(value, stream, indent=2)


def _choose_name(recording: Recording, existing_names: set[str]) -> str:
    host = re.sub(r"[^\w.-]", "-", recording.host) or "host"
    time_ms = recording.clock_pairs[0][0] // 1_000_000
    while True:
        seconds = time.strftime("%Y%m%d%H%M%S", time.gmtime(time_ms // 1000))
        name = f"{host}_{recording.pid}_{seconds}{time_ms % 1000:03d}{SUFFIX}"
        if name not in existing_names:
            return name
        time_ms += 1  # two containers may have one host name and one pid


def _is_ours(path: str) -> bool:
    """Return whether this command made a folder and it is safe to write into it.

    No part of it is a link, and no other user can replace it.
    """
    try:
        output = os.path.join(path, OUTPUT)
        for folder in [path, *([output] if os.path.lexists(output) else [])]:
            status = os.lstat(folder)
            if not stat.S_ISDIR(status.st_mode) or not is_trusted(status):
                return False
        with open(os.path.join(path, METADATA), encoding="utf-8") as stream:
            return MADE_BY in json.load(stream)
    except (OSError, ValueError, TypeError):
        return False


def _publish(folder: ExportFolder) -> None:
    """Give a folder its final name, or move its files into the folder of an earlier export."""
    output = os.path.join(folder.work, OUTPUT)
    os.rename(folder.database, os.path.join(output, f"ascend_pytorch_profiler_{folder.rank}.db"))
    if not os.path.lexists(folder.path):
        # mkdtemp ignores the umask; the folder inside was made with it.
        os.chmod(folder.work, stat.S_IMODE(os.stat(output).st_mode))
        os.rename(folder.work, folder.path)
        return
    for subfolder in ("", OUTPUT):  # the database comes last
        source = os.path.join(folder.work, subfolder)
        destination = os.path.join(folder.path, subfolder)
        os.makedirs(destination, exist_ok=True)
        new_names = [name for name in os.listdir(source) if name != OUTPUT]
        for name in new_names:
            os.replace(os.path.join(source, name), os.path.join(destination, name))
        for name in os.listdir(destination):
            # Remove files of another rank: the number of processes may have changed.
            if _OUR_FILES.fullmatch(name) and name not in new_names:
                os.unlink(os.path.join(destination, name))
