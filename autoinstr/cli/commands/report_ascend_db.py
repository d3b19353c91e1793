"""`autoinstr report DIR --format ascend-db`: not a file but a folder for each process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from autoinstr.recording.reader import Run


def run(args: argparse.Namespace, found: Run) -> Iterator[str]:
    """Write it; returns what to say."""
    from autoinstr.base.progress import Progress
    from autoinstr.report.ascend_db.export import export
    from autoinstr.report.ascend_db.summary import lines

    out = args.output or found.path
    if out == "-" or os.path.isfile(out):
        raise UsageError(f"-o {out}: {args.format} is made of folders; give a directory")
    what = f"{args.format} of {found.path}"
    progress = (
        Progress(sys.stderr, what, "ranges and events")
        if args.kineto
        else Progress(sys.stderr, what, total=found.capacity)
    )
    try:
        done = export(found, args.kineto or (), out, args.name or "class", progress.tick)
    finally:
        progress.done()
    return lines(done, out)
