"""Check on a real NPU what the simulation in tests/npu cannot prove; it takes about ten minutes.

It prints a report to send back (docs/ascend.md). PYTHON is a Python with torch_npu, and CANN's
set_env.sh must be sourced. Nothing else is installed or changed.

    make npu-acceptance PYTHON=python3
    python3 tools/npu_acceptance.py --model Qwen/Qwen2.5-0.5B-Instruct \\
        --msprof-analyze /opt/tools/bin

Exit status: 0 if no check failed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tools")]

from acceptance import PROVED, NotAvailable, finish, format_report, run_checks  # noqa: E402
from npu_checks import AGREES, CHECKS  # noqa: E402
from npu_machine import Machine, describe_machine  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="a Python with torch_npu, structlog and wrapt (default: this one)",
    )
    parser.add_argument(
        "--msprof-analyze", help="msprof-analyze 26, if it is in another environment"
    )
    parser.add_argument("--model", help="a model for vLLM; without it vLLM is not checked")
    parser.add_argument("--settings", default="{}", help="JSON: further arguments of LLM()")
    parser.add_argument(
        "--only", help=f"a comma-separated list of {', '.join(CHECKS)} (default: all)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the working folder, and print its path"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="npu-acceptance.md",
        help="the report (default: npu-acceptance.md)",
    )
    args = parser.parse_args()
    begin, work = time.monotonic(), Path(tempfile.mkdtemp(prefix="autoinstr-npu-"))
    try:
        lines, simulated = describe_machine(args.python)
    except NotAvailable as reason:
        print(f"npu-acceptance: there is no NPU for {args.python}: {reason}", file=sys.stderr)
        return 1
    machine = Machine(
        args.python, work, simulated, args.msprof_analyze, args.model, json.loads(args.settings)
    )
    names = args.only.split(",") if args.only else list(CHECKS)
    outcomes = run_checks({name: partial(CHECKS[name], machine) for name in names}, sqlite3.Error)
    title = "autoinstr on an NPU"
    if simulated:
        title += ": A SIMULATION, which proves nothing about a real one"
        outcomes = [
            outcome._replace(state=AGREES) if outcome.state == PROVED else outcome
            for outcome in outcomes
        ]
    facts = [*lines, f"- {time.monotonic() - begin:.0f} s"]
    report = format_report(title, facts, outcomes, work)
    return finish(report, outcomes, args.output, work, keep=args.keep)


if __name__ == "__main__":
    sys.exit(main())
