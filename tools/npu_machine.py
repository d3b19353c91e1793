"""Describe the machine of tools/npu_acceptance.py, and run and analyse programs on it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[1]
LIMIT_S = 600
MAX_LINE = 300  # characters of a program's last line


class NotAvailable(Exception):
    """A program cannot run on this machine; the text says why."""


class AgentFailure(Exception):
    """A program fails under the agent and runs without it."""


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
        folder = self.work / name
        folder.mkdir()
        (folder / "program.py").write_text(source)
        gate = os.pathsep.join(
            filter(None, [str(REPO / "sitecustomize"), os.environ.get("PYTHONPATH")])
        )
        env = {**os.environ, "PYTHONPATH": gate, "AUTOINSTR": "1" if agent else "0", **options}
        process = run_command([self.python, "program.py", *words], env, folder)
        (folder / "stdout").write_text(process.stdout)
        (folder / "stderr").write_text(process.stderr)
        if process.returncode or not (folder / "result.json").exists():
            problem = read_last_line(process.stderr) or f"exit status {process.returncode}"
            if agent:
                self.run(f"{name}-without", source, *words, agent=False)
                raise AgentFailure(f"runs without the agent, and under it: {problem}")
            raise NotAvailable(problem)
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        return result

    def analyse(self, folder: str) -> dict[str, Any]:
        """Return the JSON of `autoinstr analyse`, checked with msprof-analyze if it was named.

        Raise NotAvailable if torch_npu's analysis is missing.
        """
        command = [sys.executable, "-m", "autoinstr", "analyse", str(self.work / folder)]
        command += ["--format", "json", "--python", self.python]
        if self.msprof_program:
            command += ["--check-with", "msprof-analyze", "--msprof-analyze", self.msprof_program]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")])),
            "AUTOINSTR": "0",
        }
        process = run_command(command, env)
        if not process.stdout:
            problem = read_last_line(process.stderr) or "autoinstr analyse printed nothing"
            raise NotAvailable(problem)
        analysis: dict[str, Any] = json.loads(process.stdout)
        return analysis

    def find_database(self, folder: str) -> str:
        """Return the path of the first profile database; raise NotAvailable if there is none."""
        databases = sorted((self.work / folder).rglob("ascend_pytorch_profiler*.db"))
        if not databases:
            raise NotAvailable(f"{folder}: there is no database")
        return str(databases[0])


def read_last_line(text: str) -> str:
    """Return the last line that is not blank, cut to 300 characters; "" if there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MAX_LINE] if lines else ""


def run_command(
    command: list[str], env: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output."""
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


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
