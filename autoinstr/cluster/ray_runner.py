"""Connect to a Ray cluster, and run the tasks of recordings there.

The nodes get this package from the command itself (Ray's `py_modules`), so they compute with the
same code, whatever they have installed."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import autoinstr
from autoinstr.base.errors import AutoinstrError
from autoinstr.cluster.outcomes import Outcome, run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import ReadTask, ReadTick, Result

RAY = "ray"  # the word on the command line for the cluster of this machine, or of RAY_ADDRESS
SCHEME = "ray://"  # of an address of Ray Client
CONNECT_S = 5
WAIT_S = 0.5
SILENT_S = 20  # without a result, after which a line says how many processors are free
MAX_REASON = 300  # characters of an error of Ray


class RayRunner:
    """Runs each task as a task of Ray with one processor."""

    def __init__(self, address: str, print_message: Callable[[str], None]) -> None:
        """Connect to the cluster: `address` is RAY, or one that begins with SCHEME.

        Raises AutoinstrError if Ray is not installed, or no cluster answers."""
        self._address = address
        self._print_message = print_message
        self._ray: Any = _import_ray(address)
        _check_port(address)
        try:
            self._ray.init(
                address="auto" if address == RAY else address,
                runtime_env={
                    "py_modules": [os.path.dirname(os.path.abspath(autoinstr.__file__))],
                    "excludes": ["__pycache__"],
                },
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise AutoinstrError(
                f"--on {address}: no connection to a Ray cluster: {_shorten(error)}"
            ) from None

    def __enter__(self) -> RayRunner:
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()  # this also cancels the tasks, for example after Ctrl-C

    def run_tasks(
        self,
        recordings: Sequence[Recording],
        tasks: Iterable[ReadTask[Result]],
        tick: ReadTick,
    ) -> Iterator[Result]:
        """Yield the result of each recording's task, in the order of the recordings.

        Raises AutoinstrError with the recording whose task failed or died."""
        remote = self._ray.remote(run_task).options(num_cpus=1, max_retries=1)
        pending = deque(
            remote.remote(recording, task) for recording, task in zip(recordings, tasks)
        )
        for recording in recordings:
            outcome = self._wait(recording, pending[0], tick)
            pending.popleft()  # the cluster drops the result
            self._check(recording, outcome)
            recording.problems[:] = outcome.problems
            tick(outcome.records)
            result: Result = outcome.result
            del outcome
            yield result
            del result  # free the memory before the next result comes

    def _wait(self, recording: Recording, reference: Any, tick: ReadTick) -> Outcome:
        exceptions = self._ray.exceptions
        start = time.monotonic()
        try:
            while not self._ray.wait([reference], timeout=WAIT_S)[0]:
                tick(0)
                if start and time.monotonic() - start > SILENT_S:
                    self._say_what_is_free()
                    start = 0
            outcome: Outcome = self._ray.get(reference)
            return outcome
        except exceptions.RayTaskError as error:
            cause = getattr(error, "cause", error)
            reason = f"failed: {type(cause).__name__}: {_shorten(cause)}"
        except (exceptions.RayError, ConnectionError) as error:
            reason = f"died: {_shorten(error)}"
        raise AutoinstrError(
            f"--on {self._address}: {recording.file}: the task that read it {reason}"
        )

    def _check(self, recording: Recording, outcome: Outcome) -> None:
        if not outcome.is_visible:
            raise AutoinstrError(
                f"--on {self._address}: {recording.file}: node {outcome.node} has no such file: "
                "DIR must be on a file system that all nodes share"
            )
        if outcome.error:
            raise AutoinstrError(outcome.error)

    def _say_what_is_free(self) -> None:
        available, total = (
            resources.get("CPU", 0)
            for resources in (self._ray.available_resources(), self._ray.cluster_resources())
        )
        self._print_message(
            f"no task has ended for {SILENT_S} s: {available:.0f} of {total:.0f} processors of "
            "the cluster are free"
        )


def _import_ray(address: str) -> Any:
    try:
        return importlib.import_module(RAY)
    except ImportError as error:
        raise AutoinstrError(
            f"--on {address} needs Ray ({error}): pip install 'autoinstr[ray]'"
        ) from None


def _check_port(address: str) -> None:
    """Raise AutoinstrError if nothing answers at an address. Ray would try for minutes."""
    name = os.environ.get("RAY_ADDRESS", "") if address == RAY else address
    host, _, port = name.rpartition("://")[2].partition("/")[0].rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise AutoinstrError(
            f"--on {address}: nothing answers at {host}:{port} ({error})"
        ) from None


def _shorten(error: object) -> str:
    """Return the text of an error of Ray, which may be a page."""
    words = " ".join(str(error).split())
    return words if len(words) <= MAX_REASON else words[:MAX_REASON] + " …"
