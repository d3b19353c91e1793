"""At the end of a run: that it has no range at all, and what to do about it.

One line a run, not one a process: many helper processes import torch and record nothing. So the
first process that loaded torch says it, if no recording of the run has a range either. What a child
has written to a tool is not known here: where a child could have, it is info."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Callable

from autoinstr.base import log, process_facts
from autoinstr.instrument.functions.unwrapped_rows import exists
from autoinstr.recording.format import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection

    from autoinstr.agent.recording_file import Storage
    from autoinstr.agent.session import Session

A_NAME = b'{"t":"name"'  # how our writer begins the definition of a range's name
LOOKED_AT = 1 << 20  # bytes of a recording: names and targets are told before the first ranges
MOST = 64  # recordings; who has more has recorded something
WORKED = 1.0  # seconds of processor time of children: to import torch takes longer


def in_run(storage: Storage, wanted: Collection[bytes]) -> set[bytes]:
    """Those of the texts that recordings of this run hold. Of more than MOST recordings: all."""
    found: set[bytes] = set()
    folder = storage.folder()
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except OSError:
        return found
    if len(names) > MOST:
        return set(wanted)
    for name in names:
        data = _beginning(os.path.join(folder, name))
        if (
            f'"run":"{storage.run}"'.encode() in data
        ):  # else of another run, to which the same folder was given
            found.update(text for text in wanted if text in data)
    return found


def wrapped_in_run(storage: Storage, target: str) -> bool:
    """A process that has recorded something has wrapped the target of this name."""
    fact = (
        f'{{"t":"target","name":{json.dumps(target, ensure_ascii=False)},"status":"wrapped"'.encode(
            "utf-8", "surrogatepass"
        )
    )
    return fact in in_run(storage, (fact,))


def _beginning(file: str) -> bytes:
    try:
        descriptor = os.open(
            file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except OSError:
        return b""
    try:
        return os.read(descriptor, LOOKED_AT)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def say(session: Session) -> bool:
    """Say that the run has no range, if it is so; whether it is."""
    if session.emission.emitted or session.storage.failed or in_run(session.storage, (A_NAME,)):
        return False
    why, remedy = _reason(session)
    if why:
        level = "info" if _is_meant(session) or _elsewhere(session) else "warning"
        names = session.emission.names or session.config.emitter
        log.once(
            "nothing", level, f"no range was written: {why}; {remedy}", emitter=",".join(names)
        )
    return True


def has_children() -> bool:
    """Children of multiprocessing's run, or have not been joined."""
    return bool(getattr(sys.modules.get("multiprocessing.process"), "_children", None))


def when_children_have_ended(function: Callable[[], object]) -> None:
    """Call it now, or once multiprocessing has joined the children that the program leaves to it:
    it does so after our own end."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and has_children():
        util.Finalize(None, function, exitpriority=-100)
    else:
        function()


def is_first(session: Session) -> bool:
    """This process speaks for the run: not a child, not another rank, and not a program that has
    failed, which has its own line."""
    own = process_facts.describe()["roles"] == ["MainProcess"] and session.identity.rank in (
        None,
        0,
    )
    return session.first and own and not hasattr(sys, "last_value")


def _reason(session: Session) -> tuple[str, str]:
    """Why there is nothing, and what to do; "" where that was said already."""
    emission, config = session.emission, session.config
    if not emission.names:
        if "mstx" in config.emitter and "torch_npu" not in sys.modules:
            return "torch_npu was never imported", "emitter=auto records without it"
        return "", ""  # what there was cannot be used: an error has said so
    if emission.were_on:
        return _nothing_called(session)
    name = emission.names[0]
    if config.when_for(name) == "manual":
        return "it was not switched on", f"autoinstr ctl on {session.storage.folder()} does that"
    if name == "nvtx":
        return "no NVTX tool is in this process", "start it with nsys profile, or set when=always"
    how = "start one (vLLM: /start_profile)" if name == "mstx" else "start one"
    return "no profiler ran", f"{how}, or set when=always, which waits for none"


def _nothing_called(session: Session) -> tuple[str, str]:
    kept = [keep for keep, _ in session.calls.plans.decisions().values()]
    if session.calls.swap.state() != "in" and "patched by" in session.reason:
        return session.reason, "modules cannot be seen beneath it"
    if kept and not any(kept):
        if session.filter.unmatched():
            return "", ""  # said of the piece itself
        return "nothing that the filters keep was called", "see include and exclude"
    if session.window is not None:
        return (
            f"the window begins after the last step ({session.window.steps} were counted)",
            "see window",
        )
    return (
        "no nn.Module and no target was called",
        "autoinstr doctor -- COMMAND shows what each process did",
    )


def _is_meant(session: Session) -> bool:
    """A service that is ready to be looked at, by `autoinstr ctl` or a profiler, may never be; and
    where a whole container has the agent, so has every small program that imports torch and calls
    nothing."""
    when, were_on = session.config.when, session.emission.were_on
    if when == "manual" and not were_on:
        return True
    called = session.calls.plans.decisions() or session.window is not None
    return not session.asked and (when == "profiling" if not were_on else not called)


def _elsewhere(session: Session) -> bool:
    """A child may have written to a tool, of which nothing is known here. An engine's front is told
    when a profiler runs in it."""
    emission, asked = session.emission, session.config.emitter
    live = any(name in ("mstx", "torch") for name in asked) or (
        asked == ("auto",) and exists("torch_npu")
    )
    if not live:
        return False
    if session.profiled and not emission.were_on:
        return True
    times = os.times()
    return not session.steps.served and (
        times.children_user + times.children_system >= WORKED or has_children()
    )
