"""Known problems of PYTHONPATH, for `autoinstr doctor`."""

from __future__ import annotations

import os

# Agents whose sitecustomize does not run the next one: behind them nothing of ours starts.
NOT_CHAINING = {
    "opentelemetry/instrumentation/auto_instrumentation": "OpenTelemetry",
    "elasticapm/instrumentation/wrapper": "Elastic APM",
}


def path_problems(pythonpath: str, folder: str) -> list[str]:
    """What on PYTHONPATH keeps the gate in `folder` from running, or would; one line each."""
    entries = [entry for entry in pythonpath.split(os.pathsep) if entry]
    ours = next(
        (
            at
            for at, entry in enumerate(entries)
            if os.path.realpath(entry) == os.path.realpath(folder)
        ),
        None,
    )
    where = "before ours on PYTHONPATH" if ours is not None else "on PYTHONPATH"
    problems = []
    for entry in entries[:ours]:
        agent = next(
            (name for tail, name in NOT_CHAINING.items() if tail in entry.replace(os.sep, "/")),
            None,
        )
        package = os.path.join(entry, "sitecustomize")
        files = (os.path.join(entry, "sitecustomize.py"), os.path.join(package, "__init__.py"))
        another = any(map(os.path.isfile, files)) and os.path.realpath(package) != os.path.realpath(
            folder
        )
        if agent:
            problems.append(f"{agent}'s folder stands {where} and runs no other agent: {entry}")
        elif ours is not None and another:
            problems.append(f"another sitecustomize stands {where} and may not run it: {entry}")
        elif os.path.isdir(package) and not any(map(os.path.isfile, files)):
            problems.append(
                f"{package} has no __init__.py, so that it does nothing from {entry}; put that folder itself on PYTHONPATH"
            )
    return problems
