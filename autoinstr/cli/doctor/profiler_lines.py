"""Collect and format what `autoinstr doctor` says about profiler parameters."""

from __future__ import annotations

import ast
import importlib.util
import os
from typing import TYPE_CHECKING, Any

from autoinstr.instrument.profilers.connect import writes_mstx
from autoinstr.instrument.profilers.effective import AUTOINSTR, PROGRAM, TORCH_NPU, format_value
from autoinstr.instrument.profilers.parameters import TABLE, read_parameters

if TYPE_CHECKING:
    from autoinstr.config.config import Config

_DEFAULT_SOURCE = f"{TORCH_NPU}, unless the {PROGRAM} sets it"
# what autoinstr adds where it writes mstx ranges
_MSTX_VALUES = {
    "mstx": "on",
    "export_type": "the program's, and db",
    "activities": "the program's, and cpu",
}
# Where torch_npu defines the parameters: (file, class).
_CLASSES = (("profiler.py", "profile"), ("experimental_config.py", "_ExperimentalConfig"))


def collect_profiler_facts(config: Config) -> dict[str, Any] | None:
    """Return the parameters in force: {"torch_npu", "parameters", "problems"}.

    `torch_npu` says whether it is installed; a parameter has `name`, `value` and `source`. None if
    torch_npu is not installed and the option profiler is not set."""
    values, problems = read_parameters(config.profiler)
    settings = {name: value for group in values.values() for name, value in group.items()}
    defaults = read_torch_npu_defaults()
    rows = []
    for name in [parameter.name for parameter in TABLE if parameter.owner]:
        if name in settings:
            rows.append((name, _format_value(settings[name]), config.sources["profiler"]))
        elif name not in defaults:
            continue
        elif name in _MSTX_VALUES and writes_mstx(config):
            rows.append((name, _MSTX_VALUES[name], AUTOINSTR))
        else:
            rows.append((name, defaults[name], _DEFAULT_SOURCE))
    if not rows and not problems:
        return None
    return {
        "torch_npu": bool(defaults),
        "parameters": [
            {"name": name, "value": value, "source": source} for name, value, source in rows
        ],
        "problems": [str(problem) for problem in problems],
    }


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{number}" for name, number in value.items())
    return format_value(value, {})


def read_torch_npu_defaults() -> dict[str, str]:
    """Read the profiler parameters of the installed torch_npu, and their defaults, from its files.

    An import of torch_npu would start CANN."""
    try:
        spec = importlib.util.find_spec("torch_npu")
    except (ImportError, ValueError):
        spec = None
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec is not None else None
    defaults: dict[str, str] = {}
    for file, class_name in _CLASSES if folder else ():
        try:
            with open(os.path.join(str(folder), "profiler", file), encoding="utf-8") as stream:
                defaults.update(_read_signature(ast.parse(stream.read()), class_name))
        except (OSError, SyntaxError, ValueError):
            continue
    msprof_tx = defaults.pop("msprof_tx", None)  # torch_npu's older name of mstx
    return defaults if msprof_tx is None else {"mstx": msprof_tx, **defaults}


def _read_signature(tree: ast.Module, class_name: str) -> dict[str, str]:
    """Return the defaults of the parameters of a class's `__init__`."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    return {
                        name: _format_default(default)
                        for name, default in _list_defaults(method.args).items()
                        if name != "experimental_config"
                    }
    return {}


def _list_defaults(arguments: ast.arguments) -> dict[str, ast.expr]:
    names = [argument.arg for argument in arguments.args[-len(arguments.defaults) :]]
    defaults = dict(zip(names, arguments.defaults)) if arguments.defaults else {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        if default is not None:
            defaults[argument.arg] = default
    return defaults


def _format_default(default: ast.expr) -> str:
    """Return a default as the option `profiler` takes it.

    `Constant.LEVEL0` is Level0, `Constant.AicPipeUtilization` is PipeUtilization."""
    if isinstance(default, ast.Constant):
        return format_value(default.value, {})
    word = ast.unparse(default).rpartition(".")[2]
    if word == "AicMetricsNone":
        return "AiCoreNone"
    if word.startswith("LEVEL"):
        return word.capitalize()
    return word[3:] if word.startswith("Aic") else word.lower()


def format_profiler(facts: dict[str, Any]) -> list[str]:
    """Return the facts as text, without the problems."""
    title = "profiler (torch_npu)" if facts["torch_npu"] else "profiler"
    return ["", title, *format_parameters(facts["parameters"], "  ")]


def format_parameters(rows: list[dict[str, str]], indent: str) -> list[str]:
    """Return one aligned line per parameter: name, value and source."""
    name_width, value_width = (
        max((len(row[key]) for row in rows), default=0) for key in ("name", "value")
    )
    return [
        f"{indent}{row['name']:{name_width}}  {row['value']:{value_width}}  ({row['source']})"
        for row in rows
    ]
