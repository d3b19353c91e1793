"""Run a command with the agent on and collect what its processes report, for `autoinstr doctor`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from typing import Any

from autoinstr.base.doctor_channel import DOCTOR_VARIABLE
from autoinstr.base.redaction import redact_argv
from autoinstr.cli.doctor.profiler_lines import format_parameters
from autoinstr.cli.doctor.target_lines import (
    collect_target_facts,
    format_target_problems,
    format_targets,
)
from autoinstr.cli.launch import build_environment, make_command_error
from autoinstr.config.config import load_config

# The variable that names the gate's file. The gate appends a line for each process that it runs
# in, also for those that it leaves alone.
VERDICTS = "_AUTOINSTR_VERDICTS"
WAITING = "wanted, but torch has not been imported"
MAX_MODULES = 10  # modules listed for one reason
MAX_COMMAND = 110  # characters of a command line


def make_gate_variables(folder: str) -> dict[str, str]:
    """Return the variables that make the gate and the session report into `folder`."""
    return {DOCTOR_VARIABLE: folder, VERDICTS: os.path.join(folder, "verdicts")}


def examine_command(command: list[str], *, stdout_is_ours: bool) -> dict[str, Any]:
    """Run the command; return {schema, command, exit_status, processes, targets}.

    With `stdout_is_ours` the command's standard output goes to standard error. ConfigError if an
    option cannot be used, CommandError if the command cannot be started."""
    environ = build_environment({})
    config = load_config(os.environ)  # the configuration that the command gets
    folder = tempfile.mkdtemp(prefix="autoinstr-doctor-")
    try:
        status = _run(command, {**environ, **make_gate_variables(folder)}, stdout_is_ours)
        processes = read_processes(folder)
    finally:
        # a process that outlives the command may still be writing there
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "schema": "autoinstr.doctor/1",
        "command": redact_argv(command),
        "exit_status": status,
        "processes": processes,
        "targets": collect_target_facts(config),
    }


def _run(command: list[str], environ: dict[str, str], stdout_is_ours: bool) -> int:
    try:
        child = subprocess.Popen(command, env=environ, stdout=2 if stdout_is_ours else None)
    except OSError as error:
        raise make_command_error(command[0], error) from None
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            status = child.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            # the terminal sent the signal to the command too, which decides what to do
            continue


def read_processes(folder: str) -> list[dict[str, Any]]:
    """Return what each process reported, in the order of their start.

    It is the session's report if there is one, otherwise the gate's verdict."""
    processes: dict[int, dict[str, Any]] = {}
    for line in _read_text(os.path.join(folder, "verdicts")).splitlines():
        fields = line.split("\t")
        if len(fields) < 5 or not (fields[0] + fields[1]).isdigit():
            continue
        pid, ppid = int(fields[0]), int(fields[1])
        processes[pid] = {
            "pid": pid,
            "ppid": ppid,
            "argv": redact_argv(fields[4].strip().split("\x1f")),
            "active": False,
            "reason": WAITING if fields[2] == "on" else fields[3],
            "details": {},
        }
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json") and not name.startswith("."):
            try:
                report = json.loads(_read_text(os.path.join(folder, name)))
            except ValueError:
                continue
            processes[report["pid"]] = report
    return list(processes.values())


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def format_processes(facts: dict[str, Any]) -> list[str]:
    """Return what the processes reported as text."""
    command = shlex.join(facts["command"])
    lines = ["", f"autoinstr doctor: {command} ended with status {facts['exit_status']}"]
    if not facts["processes"]:
        lines += [
            "no Python process reported: the command started none, or PYTHONPATH does not reach it",
            "(python -I or -E, a PEX file, sudo, env -i, a remote machine, an agent that replaces "
            "PYTHONPATH)",
        ]
    for report in facts["processes"]:
        lines += _format_report(report)
    targets = facts.get("targets")
    if not targets:
        return lines
    return [*lines, "", *format_targets(targets), *format_target_problems(targets)]


def _format_report(report: dict[str, Any]) -> list[str]:
    command = " ".join(shlex.join(report["argv"]).split())
    if len(command) > MAX_COMMAND:
        command = command[: MAX_COMMAND - 1] + "…"
    lines = [
        "",
        f"process {report['pid']}  {command}",
        f"  {'on' if report['active'] else 'off'}: {report['reason']}",
    ]
    details = dict(report["details"])
    modules, profilers = details.pop("modules", []), details.pop("profilers", [])
    lines += [f"  {key}: {_format_detail(value)}" for key, value in details.items()]
    for profiler in profilers:
        lines.append(f"  profiler {profiler['profiler']}")
        lines += format_parameters(profiler["parameters"], "    ")
    return [*lines, *_format_modules(modules)]


def _format_detail(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _format_modules(modules: list[dict[str, Any]]) -> list[str]:
    """Return the first modules of each reason to keep or exclude them, and how many there are."""
    from autoinstr.base.text import format_count

    by_reason: dict[tuple[bool, str], list[str]] = {}
    for module in modules:
        name = f"{module['path'] or '(root)'} {module['class']}"
        by_reason.setdefault((module["keep"], module["reason"]), []).append(name)
    lines = []
    for (keep, reason), names in sorted(by_reason.items(), reverse=True):
        decision = "kept" if keep else "dropped"
        lines.append(f"  {format_count(len(names), 'module')} {decision}: {reason}")
        lines += [f"    {name}" for name in names[:MAX_MODULES]]
        if len(names) > MAX_MODULES:
            lines.append(f"    … and {len(names) - MAX_MODULES} more (--json lists all)")
    return lines
