"""The entry point `vllm.general_plugins`: vLLM calls it in each of its processes, before it makes
an engine or a worker.

It serves processes in which no gate ran, or ran too early. Ray gives its workers the driver's
environment after they have started. `python -I` ignores PYTHONPATH.
"""

from __future__ import annotations


def activate() -> None:
    """Run the gate, which decides from the environment as it is now. Never raises.

    Where the agent is on already, this has no effect."""
    try:
        from autoinstr._pth import boot

        boot()
    except Exception as error:  # a damaged installation
        try:
            from autoinstr.base.system import write_to_stderr

            write_to_stderr(f"autoinstr: off in this process: {type(error).__name__}: {error}\n")
        except Exception:  # nobody can read the line
            pass
