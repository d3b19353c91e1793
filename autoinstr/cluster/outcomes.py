"""Run one task on a node of the cluster. This file works without Ray."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.base.errors import AutoinstrError

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import ReadTask


class Outcome(NamedTuple):
    """What came of a task: its result, the recording's problems, and the number of records that
    were read.

    `error` is the line of an error that the user can fix. With `is_visible` false, the machine
    `node` has no such file."""

    node: str
    is_visible: bool = True
    error: str = ""
    result: Any = None
    problems: tuple[str, ...] = ()
    records: int = 0


def run_task(recording: Recording, task: ReadTask[Any]) -> Outcome:
    """Run a task with its recording."""
    node = socket.gethostname()
    if not recording.is_visible:
        return Outcome(node, is_visible=False)
    counts: list[int] = []
    try:
        result = task(recording, counts.append)
    except AutoinstrError as error:
        return Outcome(node, error=str(error))
    return Outcome(node, result=result, problems=tuple(recording.problems), records=sum(counts))
