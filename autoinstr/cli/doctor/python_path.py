"""Find known problems of PYTHONPATH, for `autoinstr doctor`."""

from __future__ import annotations

import os

# Agents whose sitecustomize does not run the next one: if they come first, the gate never runs.
NOT_CHAINING = {
    "opentelemetry/instrumentation/auto_instrumentation": "OpenTelemetry",
    "elasticapm/instrumentation/wrapper": "Elastic APM",
}


def find_path_problems(python_path: str, gate_folder: str) -> list[str]:
    """Return one line for each entry of PYTHONPATH that keeps the gate from running."""
    entries = [entry for entry in python_path.split(os.pathsep) if entry]
    real_gate = os.path.realpath(gate_folder)
    gate_index = next(
        (index for index, entry in enumerate(entries) if os.path.realpath(entry) == real_gate),
        None,
    )
    position = "before autoinstr's on PYTHONPATH" if gate_index is not None else "on PYTHONPATH"
    problems = []
    for entry in entries[:gate_index]:
        agent = next(
            (name for path, name in NOT_CHAINING.items() if path in entry.replace(os.sep, "/")),
            None,
        )
        package = os.path.join(entry, "sitecustomize")
        files = (os.path.join(entry, "sitecustomize.py"), os.path.join(package, "__init__.py"))
        has_sitecustomize = any(map(os.path.isfile, files))
        if agent:
            problems.append(f"{agent}'s folder is {position} and runs no other agent: {entry}")
        elif (
            gate_index is not None and has_sitecustomize and os.path.realpath(package) != real_gate
        ):
            problems.append(f"another sitecustomize is {position} and may not run it: {entry}")
        elif os.path.isdir(package) and not has_sitecustomize:
            problems.append(
                f"{package} has no __init__.py, so Python does not load it from {entry}; "
                f"put {package} itself on PYTHONPATH"
            )
    return problems
