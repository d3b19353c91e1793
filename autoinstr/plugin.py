"""The entry point `vllm.general_plugins`: vLLM calls it in each of its processes, before it makes
an engine or a worker.

It serves processes in which no gate ran, or ran too early. Ray gives its workers the driver's
environment after they have started. `python -I` ignores PYTHONPATH.
"""

from __future__ import annotations

import sys


def activate() -> None:
    """Run the gate, which decides from the environment as it is now. Never raises.

    Where the agent is on already, this has no effect."""
    try:
        from autoinstr._pth import boot

        boot()
    except Exception as error:  # a damaged installation
        if sys.stderr is not None:
            print(
                f"autoinstr: off in this process: {type(error).__name__}: {error}", file=sys.stderr
            )
