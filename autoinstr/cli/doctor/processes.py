"""Runs a command with the agent on and gathers what its processes say about themselves, for
`autoinstr doctor -- command`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from typing import Any

from autoinstr.base.doctor_channel import VARIABLE
from autoinstr.base.redaction import redact_argv
from autoinstr.cli.commands.run import environment, refusal
from autoinstr.cli.doctor.profiler_lines import rows_text
from autoinstr.cli.doctor.target_lines import problem_lines, target_facts, target_lines
from autoinstr.config.config import load

# the gate's file: a line for each process it ran in, those left alone included
VERDICTS = "_AUTOINSTR_VERDICTS"
WAITING = "wanted, but torch has not been imported"
SHOWN = 10  # modules listed for one reason


def gate_variables(folder: str) -> dict[str, str]:
    """What makes the gate and the session report into `folder`."""
    return {VARIABLE: folder, VERDICTS: os.path.join(folder, "verdicts")}


def diagnose(command: list[str], *, stdout_is_ours: bool) -> dict[str, Any]:
    """Run the command; return {schema, command, exit_status, processes, targets}. Raises
    ConfigError, or CommandError when it does not start."""
    environ = environment({})
    config = load(os.environ)  # as the command will have it
    folder = tempfile.mkdtemp(prefix="autoinstr-doctor-")
    try:
        status = _run(command, {**environ, **gate_variables(folder)}, stdout_is_ours)
        processes = read_processes(folder)
    finally:
        shutil.rmtree(
            folder, ignore_errors=True
        )  # a process that outlives the command may be writing there
    told = {
        "schema": "autoinstr.doctor/1",
        "command": redact_argv(command),
        "exit_status": status,
        "processes": processes,
    }
    return {**told, "targets": target_facts(config)}


def _run(command: list[str], environ: dict[str, str], stdout_is_ours: bool) -> int:
    try:
        child = subprocess.Popen(command, env=environ, stdout=2 if stdout_is_ours else None)
    except OSError as error:
        raise refusal(command[0], error) from None
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            status = child.wait()
            return status if status >= 0 else 128 - status
        # the terminal sent it to the command as well: what it does about it is up to the command
        except KeyboardInterrupt:
            continue


def read_processes(folder: str) -> list[dict[str, Any]]:
    """What each process said, in the order in which they started: the gate's verdict, or the
    session's report where there is one."""
    found: dict[int, dict[str, Any]] = {}
    for line in _text(os.path.join(folder, "verdicts")).splitlines():
        fields = line.split("\t")
        if len(fields) < 5 or not (fields[0] + fields[1]).isdigit():
            continue
        pid, ppid = int(fields[0]), int(fields[1])
        argv = redact_argv(fields[4].strip().split("\x1f"))
        reason = WAITING if fields[2] == "on" else fields[3]
        found[pid] = {
            "pid": pid,
            "ppid": ppid,
            "argv": argv,
            "active": False,
            "reason": reason,
            "details": {},
        }
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json") and not name.startswith("."):
            try:
                said = json.loads(_text(os.path.join(folder, name)))
            except ValueError:
                continue
            found[said["pid"]] = said
    return list(found.values())


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def process_lines(told: dict[str, Any]) -> list[str]:
    """The report as text."""
    lines = [
        "",
        f"autoinstr doctor: {shlex.join(told['command'])} ended with status {told['exit_status']}",
    ]
    if not told["processes"]:
        lines += [
            "no Python process reported: the command started none, or PYTHONPATH does not reach it",
            "(python -I or -E, sudo, env -i, a remote machine, an agent that replaces PYTHONPATH)",
        ]
    for said in told["processes"]:
        command = " ".join(shlex.join(said["argv"]).split())
        lines += [
            "",
            f"process {said['pid']}  {command if len(command) <= 110 else command[:109] + '…'}",
        ]
        lines.append(f"  {'on' if said['active'] else 'off'}: {said['reason']}")
        details = dict(said["details"])
        modules, profilers = details.pop("modules", []), details.pop("profilers", [])
        lines += [f"  {key}: {_shown(value)}" for key, value in details.items()]
        for made in profilers:
            lines += [f"  profiler {made['profiler']}", *rows_text(made["parameters"], "    ")]
        lines += _module_lines(modules)
    targets = told.get("targets")
    return [*lines, "", *target_lines(targets), *problem_lines(targets)] if targets else lines


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _module_lines(modules: list[dict[str, Any]]) -> list[str]:
    from autoinstr.base.text import count

    by_reason: dict[tuple[bool, str], list[str]] = {}
    for module in modules:
        name = f"{module['path'] or '(root)'} {module['class']}"
        by_reason.setdefault((module["keep"], module["reason"]), []).append(name)
    lines = []
    for (keep, reason), names in sorted(by_reason.items(), reverse=True):
        lines.append(f"  {count(len(names), 'module')} {'kept' if keep else 'dropped'}: {reason}")
        lines += [f"    {name}" for name in names[:SHOWN]]
        if len(names) > SHOWN:
            lines.append(f"    … and {len(names) - SHOWN} more (--json lists all)")
    return lines
