"""The entry point `vllm.general_plugins`: vLLM calls it in each of its processes, before it makes
an engine or a worker.

It is for processes that no gate ran in, or too early: Ray gives its workers the environment of the
driver after they have started, and `python -I` knows no PYTHONPATH.
"""

from __future__ import annotations

import sys


def activate() -> None:
    """Run the gate, which decides from the environment as it is now; nothing where it is on
    already. Never raises."""
    try:
        from autoinstr._pth import boot

        boot()
    except Exception as error:  # a damaged installation
        if sys.stderr is not None:
            print(
                f"autoinstr: off in this process: {type(error).__name__}: {error}", file=sys.stderr
            )
