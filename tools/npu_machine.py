"""The machine that tools/npu_acceptance.py runs on: whether it has an NPU, and how programs are run
and analysed there."""

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


class NotHere(Exception):
    """A program that does not run here; the text says why."""


class Hurt(Exception):
    """A program that does not run under the agent, and does without it."""


class Machine(NamedTuple):
    """Where and with what the programs run."""

    python: str
    work: Path
    simulated: bool
    msprof_analyze: str | None
    model: str | None
    settings: dict[str, Any]

    def run(
        self, name: str, source: str, *words: str, agent: bool = True, **options: str
    ) -> dict[str, Any]:
        """Run a program in a folder of its own, under the agent; return what it wrote. NotHere if
        it fails, Hurt if it does so under the agent alone."""
        folder = self.work / name
        folder.mkdir()
        (folder / "program.py").write_text(source)
        gate = os.pathsep.join(
            filter(None, [str(REPO / "sitecustomize"), os.environ.get("PYTHONPATH")])
        )
        env = {**os.environ, "PYTHONPATH": gate, "AUTOINSTR": "1" if agent else "0", **options}
        done = started([self.python, "program.py", *words], env, folder)
        (folder / "stdout").write_text(done.stdout)
        (folder / "stderr").write_text(done.stderr)
        if done.returncode or not (folder / "result.json").exists():
            last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:] or [
                f"exit status {done.returncode}"
            ]
            if agent:
                self.run(f"{name}-without", source, *words, agent=False)
                raise Hurt(f"runs without the agent, and under it: {last[0][:300]}")
            raise NotHere(last[0][:300])
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        return result

    def analyse(self, folder: str) -> dict[str, Any]:
        """`autoinstr analyse --format json`. NotHere without msprof-analyze or torch_npu's
        analysis."""
        command = [
            sys.executable,
            "-m",
            "autoinstr",
            "analyse",
            str(self.work / folder),
            "--format",
            "json",
            "--python",
            self.python,
        ]
        if self.msprof_analyze:
            command += ["--msprof-analyze", self.msprof_analyze]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")])),
            "AUTOINSTR": "0",
        }
        done = started(command, env)
        if not done.stdout:
            raise NotHere(
                done.stderr.strip().splitlines()[-1][:300]
                if done.stderr.strip()
                else "autoinstr analyse printed nothing"
            )
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def database(self, folder: str) -> str:
        found = sorted((self.work / folder).rglob("ascend_pytorch_profiler*.db"))
        if not found:
            raise NotHere(f"{folder}: there is no database")
        return str(found[0])


def started(
    command: list[str], env: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def about(python: str) -> tuple[list[str], bool]:
    """The machine in words, and whether its CANN is the simulated one. NotHere where there is no
    NPU."""
    asked = "[torch.__version__, torch_npu.__version__, torch.npu.device_count(), torch.npu.get_device_name(0)]"
    program = f"import json, structlog, wrapt, torch, torch_npu\nprint(json.dumps({asked}))"
    done = started([python, "-c", program], {**os.environ, "AUTOINSTR": "0"})
    if done.returncode:
        raise NotHere((done.stderr.strip().splitlines() or ["torch_npu cannot be imported"])[-1])
    torch, torch_npu, count, name = json.loads(done.stdout.strip().splitlines()[-1])
    home = Path(os.environ.get("ASCEND_HOME_PATH", ""))
    library = home / "lib64" / "libascendcl.so"
    simulated = library.exists() and b"cannsim" in library.read_bytes()
    notes = "\n".join(
        file.read_text() for file in home.glob("*/ascend_toolkit_install.info")
    ).splitlines()
    version = next((line for line in notes if "version" in line), "?")
    return [
        f"- {count} × {name}, CANN {version}, {platform.machine()}, {platform.platform()}",
        f"- Python {platform.python_version()}, torch {torch}, torch_npu {torch_npu}",
    ], simulated
