"""Check on a real GPU what no test on a CPU can prove. It has a limit of ten minutes a program.

It prints a report to send back (docs/device-time.md). PYTHON is a Python with a CUDA or ROCm build
of torch, transformers, structlog and wrapt. Nothing is installed or changed.

    make gpu-acceptance PYTHON=python3
    python3 tools/gpu_acceptance.py --only eager,graph

Exit status: 0 if no check failed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tools")]

from acceptance import PROVED, NotAvailable, finish, format_report, run_checks  # noqa: E402
from gpu_checks import CHECKS, Machine, describe_machine  # noqa: E402

WITHOUT_GPU = "agrees, on a CPU"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="a Python with torch, transformers, structlog and wrapt (default: this one)",
    )
    parser.add_argument("--cpu", action="store_true", help="try the program itself, without a GPU")
    parser.add_argument(
        "--only", help=f"a comma-separated list of {', '.join(CHECKS)} (default: all)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the working folder, and print its path"
    )
    parser.add_argument("-o", "--output", default="gpu-acceptance.md", help="the report")
    args = parser.parse_args()
    begin_s, device = time.monotonic(), "cpu" if args.cpu else "cuda"
    names = args.only.split(",") if args.only else list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        parser.error(f"--only {unknown[0]}: is none of {', '.join(CHECKS)}")
    try:
        facts = describe_machine(args.python, device)
    except NotAvailable as reason:
        print(f"gpu-acceptance: there is no GPU for {args.python}: {reason}", file=sys.stderr)
        return 1
    work = Path(tempfile.mkdtemp(prefix="autoinstr-gpu-"))
    machine = Machine(args.python, work, device)
    outcomes = run_checks({name: partial(CHECKS[name], machine) for name in names}, sqlite3.Error)
    title = "autoinstr on a GPU"
    if args.cpu:
        title += ": A TRIAL ON A CPU, which proves nothing about a GPU"
        outcomes = [
            outcome._replace(state=WITHOUT_GPU) if outcome.state == PROVED else outcome
            for outcome in outcomes
        ]
    facts.append(f"- {time.monotonic() - begin_s:.0f} s")
    report = format_report(title, facts, outcomes, work)
    return finish(report, outcomes, args.output, work, keep=args.keep)


if __name__ == "__main__":
    sys.exit(main())
