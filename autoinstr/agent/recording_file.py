"""The file of this process's recording: where it lies, its header, and what is logged about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from autoinstr.base import log, process_facts, run_directory
from autoinstr.base.redaction import redact_text
from autoinstr.base.system import calls, make_temporary_folder
from autoinstr.emitters.registry import RECORDER
from autoinstr.recording.format import SUFFIX
from autoinstr.recording.ownfile import IN_MEMORY
from autoinstr.recording.writer import RecordingWriter

if TYPE_CHECKING:
    from autoinstr.config.config import Config


MEMORY_BYTES = 32 << 20


class RecordingOwner(Protocol):
    """What a recording needs from the session of its process."""

    def describe_process(self) -> dict[str, Any]:
        """Return the header fields that say what this process is and which emitters it has."""

    def records_in_memory(self) -> bool:
        """Return whether the recording has no file, because only metrics need it."""

    def close(self) -> None:
        """Close the recording at the end of the process."""


class RecordingFile:
    """Creates the recording when the recorder asks for it."""

    def __init__(self, owner: RecordingOwner, config: Config) -> None:
        self.run = ""  # identifies the run of this process
        self.has_failed = False
        self._owner = owner
        self._config = config
        self._writer: RecordingWriter | None = None

    def create(self) -> RecordingWriter:
        """Create a new recording. Raises OSError or AutoinstrError if that is impossible."""
        config = self._config
        options = {option: redact_text(text) for option, text in config.dump_set_options().items()}
        header = {
            **self._owner.describe_process(),
            "run": self.run,
            "name": config.get_name(RECORDER),
            "domain": config.domain,
            "options": options,
        }
        if self._owner.records_in_memory():
            self._writer = create_in_memory(header)
            process_facts.register_at_exit(self._owner.close)
            return self._writer
        folder, writer = self._create_in_usable_folder(header)
        self._writer = writer
        writer.on_full = self._report_full
        writer.on_removed = self._choose_new_folder
        process_facts.register_at_exit(self._owner.close)
        # Users who set no `out` find the run directory by this line.
        log.write_once("recording", "info", "recording", folder=folder)
        return writer

    def _create_in_usable_folder(self, header: dict[str, Any]) -> tuple[str, RecordingWriter]:
        """Create the recording in the run directory, or in another folder if that holds none."""
        config = self._config
        options = {"max_bytes": config.max_mb << 20, "full": config.full, "mode": config.mode}
        folder = run_directory.create(config.out, config.mode)
        try:
            return folder, create_recording(folder, header, **options)
        except OSError as error:
            other_folder = run_directory.replace_unusable(config.out, error)
            if other_folder is None:
                raise
            return other_folder, create_recording(other_folder, header, **options)

    def find_folder(self) -> str:
        """Return the run directory, which may not exist yet."""
        path = self._writer.path if self._writer is not None else IN_MEMORY
        return path.rpartition("/")[0] if path != IN_MEMORY else self._config.out

    def reset_in_child(self) -> None:
        """After fork: the recording is the parent's."""
        self._writer = None

    def report_failure(self, error: BaseException) -> None:
        """Log that there is no recording, or that it has ended early."""
        self.has_failed = True
        reason = str(error) or type(error).__name__
        log.write_once("recorder", "error", "recording is off", out=self._config.out, error=reason)

    def _report_full(self) -> None:
        if self._config.full == "ring":
            event = "the recording is full; the oldest ranges are overwritten and counted"
        else:
            event = "the recording is full; later ranges are counted and dropped"
        log.write_once("full", "warning", event, max_mb=self._config.max_mb, full=self._config.full)

    def _choose_new_folder(self) -> str:
        """Return the folder for a recording that somebody removed, and log that."""
        folder = run_directory.create(self._config.out, self._config.mode)
        event = "the recording was removed; all of it is written again"
        log.write_once("removed", "warning", event, folder=folder)
        return folder


def create_in_memory(header: dict[str, Any]) -> RecordingWriter:
    """Create a recording without a name. It takes nothing of a container's /dev/shm.

    It is a ring, because what metrics have counted is not needed any more."""
    limits: dict[str, Any] = {"max_bytes": MEMORY_BYTES, "full": "ring"}
    if hasattr(calls, "memfd_create"):
        return RecordingWriter(IN_MEMORY, header, **limits)
    folder = make_temporary_folder("autoinstr-")
    writer = create_recording(folder, header, **limits)
    calls.unlink(writer.path)
    calls.rmdir(folder)
    return writer


def create_recording(folder: str, header: dict[str, Any], **options: Any) -> RecordingWriter:
    """Create a recording with a name of its own in a run directory.

    `options` are RecordingWriter's. Raises OSError if the file cannot be created.
    """
    name = (
        f"{calls.uname().nodename.split('.')[0]}-{calls.getpid()}-{calls.urandom(4).hex()}{SUFFIX}"
    )
    return RecordingWriter(f"{folder}/{name}", header, **options)
