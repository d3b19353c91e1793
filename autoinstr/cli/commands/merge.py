"""`autoinstr merge DIR… -o DIR`: run directories of many ranks and hosts become one, on one time
axis."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, RecordingError
from autoinstr.cli.arguments import place
from autoinstr.cli.messages import say
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from autoinstr.cli.parser import Parser

EXAMPLES = """\
  autoinstr merge runs/node-a runs/node-b -o runs/all            then: autoinstr report runs/all
  autoinstr merge node-*/autoinstr-runs --latest -o all          the newest run of each of several folders
  autoinstr merge runs/all runs/node-c -o runs/everything        a merged run is a run
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "merge",
        "join run directories of many ranks and hosts on one time axis",
        "Copy the recordings of several run directories into a new one. Processes of one boot of a machine share its monotonic clock;\n"
        "between machines the wall clocks are the link, and what they leave uncertain is said. What cannot be aligned is refused. The\n"
        "inputs stay as they are. How clocks are joined, and what is refused: docs/reports.md.",
        EXAMPLES,
    )
    parser.add_argument(
        "dirs",
        metavar="DIR",
        nargs="+",
        type=place,
        help="run directories, or directories that hold one each",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=place,
        required=True,
        help="the run directory to make: new or empty, and in no input",
    )
    parser.add_argument(
        "--latest", action="store_true", help="where a DIR holds several runs, take the newest"
    )
    parser.add_argument(
        "--skip-unaligned",
        action="store_true",
        help="leave out, and name, recordings that cannot be aligned, instead of making nothing",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.analysis.clock import Axis, alignment_lines, hosts_named
    from autoinstr.base.progress import Progress
    from autoinstr.base.text import count, duration
    from autoinstr.merge.directory import merge

    for path in args.dirs:
        if not os.path.lexists(path):
            raise RecordingError(f"{path}: no such run directory")
    progress = Progress(sys.stderr, f"merge into {args.output}", "bytes")
    with parents_of(args.output):
        try:
            merged = merge(
                args.dirs,
                args.output,
                latest=args.latest,
                skip_unaligned=args.skip_unaligned,
                tick=progress.tick,
            )
        finally:
            progress.done()
    for note in merged.notes:
        say(note)
    kept = merged.facts
    print(
        f"merged {count(len(kept), 'recording')} of {count(merged.directories, 'run directory', 'run directories')} into {args.output}"
    )
    for clock in Axis(kept).clocks:
        hosts = hosts_named([kept[at] for at in clock.recordings])
        agree = f"clock pairs agree within {duration(clock.spread_ns)}"
        print(f"  {hosts}: {count(len(clock.recordings), 'recording')} on one clock; {agree}")
    for line in alignment_lines(kept):
        print(line)
    print(f"next: autoinstr report {shlex.quote(args.output)}")
    return 0


@contextmanager
def parents_of(out: str) -> Iterator[None]:
    """Makes the folders above `out` that are missing, as the run directory of a program has them;
    they go again where nothing is made."""
    missing = []
    place = os.path.dirname(os.path.abspath(out))
    while not os.path.lexists(place):
        missing.append(place)
        place = os.path.dirname(place)
    made: list[str] = []
    try:
        for folder in reversed(missing):
            try:
                os.mkdir(folder, 0o755)
            except OSError as error:
                raise AutoinstrError(
                    f"-o {out}: {folder} cannot be made: {error.strerror}"
                ) from None
            made.append(folder)
        yield
    except BaseException:
        for folder in reversed(made):
            try:
                os.rmdir(folder)
            except OSError:  # somebody else has put something there
                break
        raise
