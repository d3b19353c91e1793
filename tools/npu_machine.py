"""Describe the machine of tools/npu_acceptance.py, and run and analyse programs on it."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

from acceptance import NotAvailable, run_autoinstr, run_command, run_program


class Machine(NamedTuple):
    """The Python, the folder and the options that the programs run with."""

    python: str
    work: Path
    simulated: bool
    msprof_program: str | None
    model: str | None
    settings: dict[str, Any]

    def run(
        self, name: str, source: str, *words: str, agent: bool = True, **options: str
    ) -> dict[str, Any]:
        """Run a program in its own folder, under the agent, and return its result.

        Raise NotAvailable if it fails, AgentFailure if it fails under the agent only.
        """
        return run_program(self.python, self.work / name, source, *words, agent=agent, **options)

    def analyse(self, folder: str) -> dict[str, Any]:
        """Return the JSON of `autoinstr analyse`, checked with msprof-analyze if it was named.

        Raise NotAvailable if torch_npu's analysis is missing.
        """
        words = ["analyse", str(self.work / folder), "--format", "json", "--python", self.python]
        if self.msprof_program:
            words += ["--check-with", "msprof-analyze", "--msprof-analyze", self.msprof_program]
        return run_autoinstr(*words)

    def find_database(self, folder: str) -> str:
        """Return the path of the first profile database; raise NotAvailable if there is none."""
        databases = sorted((self.work / folder).rglob("ascend_pytorch_profiler*.db"))
        if not databases:
            raise NotAvailable(f"{folder}: there is no database")
        return str(databases[0])


def describe_machine(python: str) -> tuple[list[str], bool]:
    """Return lines about the machine, and whether its CANN is the simulated one.

    Raise NotAvailable if there is no NPU.
    """
    program = (
        "import json, structlog, wrapt, torch, torch_npu\n"
        "print(json.dumps([torch.__version__, torch_npu.__version__, torch.npu.device_count(), "
        "torch.npu.get_device_name(0)]))"
    )
    process = run_command([python, "-c", program], {**os.environ, "AUTOINSTR": "0"})
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["torch_npu cannot be imported"]
        raise NotAvailable(lines[-1])
    torch, torch_npu, count, name = json.loads(process.stdout.strip().splitlines()[-1])
    home = Path(os.environ.get("ASCEND_HOME_PATH", ""))
    library = home / "lib64" / "libascendcl.so"
    simulated = library.exists() and b"cannsim" in library.read_bytes()
    info_files = home.glob("*/ascend_toolkit_install.info")
    info = "\n".join(file.read_text() for file in info_files).splitlines()
    version = next((line for line in info if "version" in line), "?")
    return [
        f"- {count} × {name}, CANN {version}, {platform.machine()}, {platform.platform()}",
        f"- Python {platform.python_version()}, torch {torch}, torch_npu {torch_npu}",
    ], simulated
