"""Where this process's recording lies, what stands at its head, and what is said when something
becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import log, process_facts, run_directory
from autoinstr.base.redaction import redact_text
from autoinstr.emitters.recorder import open_in

if TYPE_CHECKING:
    from autoinstr.agent.session import Session
    from autoinstr.config.config import Config
    from autoinstr.recording.writer import RecordingWriter

RECORDER = "recorder"


class Storage:
    """What the recorder asks for its file, and tells of it."""

    def __init__(self, session: Session, config: Config) -> None:
        self._session = session
        self._config = config
        self.run = ""  # which run this process is of
        self.failed = False

    def open(self) -> RecordingWriter:
        """A new recording. OSError or AutoinstrError where there can be none."""
        config, session = self._config, self._session
        folder = run_directory.make(config.out, config.mode)
        emitter, name = ",".join(session.emission.names) or RECORDER, config.name_for(RECORDER)
        options = {option: redact_text(text) for option, text in config.chosen().items()}
        about = {
            "run": self.run,
            "emitter": emitter,
            "name": name,
            "domain": config.domain,
            "options": options,
        }
        header = {**session.identity.header(), **about}
        writer = open_in(
            folder, header, max_bytes=config.max_mb << 20, full=config.full, mode=config.mode
        )
        writer.on_full = self._full
        writer.on_removed = self._removed
        process_facts.at_exit(session.close)
        log.once(
            "recording", "info", "recording", folder=folder
        )  # who gave no `out` finds the run directory by this
        return writer

    def folder(self) -> str:
        """The run directory, made or not."""
        writer = self._session.recorder.writer
        return writer.path.rpartition("/")[0] if writer else self._config.out

    def _full(self) -> None:
        event = "the recording is full; later ranges are counted and dropped"
        log.once("full", "warning", event, max_mb=self._config.max_mb, full=self._config.full)

    def _removed(self) -> str:
        folder = run_directory.make(self._config.out, self._config.mode)
        log.once(
            "removed",
            "warning",
            "the recording was removed; all of it is written again",
            folder=folder,
        )
        return folder

    def cannot(self, error: BaseException) -> None:
        """There is none, or no more of it."""
        self.failed = True
        log.once(
            "recorder",
            "error",
            "recording is off",
            out=self._config.out,
            error=str(error) or type(error).__name__,
        )
