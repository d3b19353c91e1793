"""What `autoinstr doctor` says of profiler parameters: what is in force, and what sets each
value."""

from __future__ import annotations

import ast
import importlib.util
import os
from typing import TYPE_CHECKING, Any

from autoinstr.instrument.profilers.connect import writes_mstx
from autoinstr.instrument.profilers.effective import OURS, PROGRAM, TORCH_NPU, shown
from autoinstr.instrument.profilers.parameters import TABLE, read

if TYPE_CHECKING:
    from autoinstr.config.config import Config

_UNLESS = f"{TORCH_NPU}, unless the {PROGRAM} sets it"
_ADDED = {
    "mstx": "on",
    "export_type": "the program's, and db",
    "activities": "the program's, and cpu",
}
# Where torch_npu's classes stand: (file, class).
_CLASSES = (("profiler.py", "profile"), ("experimental_config.py", "_ExperimentalConfig"))


def profiler_facts(config: Config) -> dict[str, Any] | None:
    """{"torch_npu": is it installed, "parameters": [{"name", "value", "source"}], "problems"}; None
    where there is nothing to say."""
    values, problems = read(config.profiler)
    pairs = {name: value for found in values.values() for name, value in found.items()}
    defaults = torch_npu_defaults()
    source = config.sources["profiler"]
    rows = []
    for name in [
        one.name for one in TABLE if one.belongs and (one.name in pairs or one.name in defaults)
    ]:
        if name in pairs:
            rows.append((name, _text(pairs[name]), source))
        elif name in _ADDED and writes_mstx(config):
            rows.append((name, _ADDED[name], OURS))
        else:
            rows.append((name, defaults[name], _UNLESS))
    if not rows and not problems:
        return None
    told = [{"name": name, "value": value, "source": origin} for name, value, origin in rows]
    return {
        "torch_npu": bool(defaults),
        "parameters": told,
        "problems": [str(problem) for problem in problems],
    }


def _text(value: Any) -> str:
    return (
        ",".join(f"{name}:{number}" for name, number in value.items())
        if isinstance(value, dict)
        else shown(value, {})
    )


def torch_npu_defaults() -> dict[str, str]:
    """The parameters of the installed torch_npu and their defaults, read from its files: importing
    it would start CANN."""
    try:
        spec = importlib.util.find_spec("torch_npu")
    except (ImportError, ValueError):
        spec = None
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec is not None else None
    found: dict[str, str] = {}
    for file, cls in _CLASSES if folder else ():
        try:
            with open(os.path.join(str(folder), "profiler", file), encoding="utf-8") as stream:
                found.update(_signature(ast.parse(stream.read()), cls))
        except (OSError, SyntaxError, ValueError):
            continue
    tx = found.pop("msprof_tx", None)  # two names, one switch
    return found if tx is None else {"mstx": tx, **found}


def _signature(tree: ast.Module, cls: str) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == cls:
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    given = method.args
                    plain = (
                        dict(
                            zip(
                                [one.arg for one in given.args[-len(given.defaults) :]],
                                given.defaults,
                            )
                        )
                        if given.defaults
                        else {}
                    )
                    named = {
                        one.arg: default
                        for one, default in zip(given.kwonlyargs, given.kw_defaults)
                        if default is not None
                    }
                    return {
                        name: _word(default)
                        for name, default in {**plain, **named}.items()
                        if name != "experimental_config"
                    }
    return {}


def _word(default: ast.expr) -> str:
    """A default as the option `profiler` takes it: `Constant.LEVEL0` is Level0,
    `Constant.AicPipeUtilization` is PipeUtilization."""
    if isinstance(default, ast.Constant):
        return shown(default.value, {})
    word = ast.unparse(default).rpartition(".")[2]
    if word == "AicMetricsNone":
        return "AiCoreNone"
    if word.startswith("LEVEL"):
        return word.capitalize()
    return word[3:] if word.startswith("Aic") else word.lower()


def profiler_lines(told: dict[str, Any]) -> list[str]:
    """The table as text."""
    title = "profiler (torch_npu)" if told["torch_npu"] else "profiler"
    return ["", title, *rows_text(told["parameters"], "  ")]


def rows_text(rows: list[dict[str, str]], indent: str) -> list[str]:
    """One line a parameter."""
    names, values = (max((len(row[key]) for row in rows), default=0) for key in ("name", "value"))
    return [
        f"{indent}{row['name']:{names}}  {row['value']:{values}}  ({row['source']})" for row in rows
    ]
