"""`autoinstr merge DIR… -o DIR`: join the run directories of many ranks and hosts."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, RecordingError
from autoinstr.cli.arguments import add_latest_option, parse_path
from autoinstr.cli.messages import print_message
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from autoinstr.cli.parser import Parser
    from autoinstr.merge.directory import MergeResult

DESCRIPTION = """\
Copy the recordings of several run directories into a new one, on one time axis. Processes
of one boot of a machine share its monotonic clock. Between machines, the wall clocks are
the only link; the output says how exact that is. Recordings that cannot be aligned are an
error. The inputs are not changed. docs/reference/formats.md says how clocks are joined."""

EXAMPLES = """\
  autoinstr merge runs/node-a runs/node-b -o runs/all       then: autoinstr report runs/all
  autoinstr merge node-*/autoinstr-runs --latest -o all     the newest run of each folder
  autoinstr merge runs/all runs/node-c -o runs/more         a merged run can be merged again
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "merge",
        "join run directories of many ranks and hosts on one time axis",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "dirs",
        metavar="DIR",
        nargs="+",
        type=parse_path,
        help="run directories, or directories that contain one each",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=parse_path,
        required=True,
        help="the run directory to make: new or empty, and outside the inputs",
    )
    add_latest_option(parser, "a DIR")
    parser.add_argument(
        "--skip-unaligned",
        action="store_true",
        help="leave out and name recordings that cannot be aligned, instead of failing",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.base.progress import Progress
    from autoinstr.merge.directory import merge_runs

    for path in args.dirs:
        if not os.path.lexists(path):
            raise RecordingError(f"{path}: no such run directory")
    progress = Progress(sys.stderr, f"merge into {args.output}", "bytes")
    with make_parents(args.output):
        try:
            result = merge_runs(
                args.dirs,
                args.output,
                latest=args.latest,
                skip_unaligned=args.skip_unaligned,
                tick=progress.tick,
            )
        finally:
            progress.finish()
    for note in result.notes:
        print_message(note)
    _print_result(args.output, result)
    return 0


def _print_result(output: str, result: MergeResult) -> None:
    from autoinstr.analysis.clock import Axis, describe_alignment, join_host_names
    from autoinstr.base.text import format_count, format_duration

    sources = result.sources
    runs = format_count(result.directory_count, "run directory", "run directories")
    print(f"merged {format_count(len(sources), 'recording')} of {runs} into {output}")
    for clock in Axis(sources).clocks:
        hosts = join_host_names([sources[index] for index in clock.recordings])
        recordings = format_count(len(clock.recordings), "recording")
        accuracy = format_duration(clock.spread_ns)
        print(f"  {hosts}: {recordings} on one clock; clock pairs agree within {accuracy}")
    for line in describe_alignment(sources):
        print(line)
    print(f"next: autoinstr report {shlex.quote(output)}")


@contextmanager
def make_parents(output: str) -> Iterator[None]:
    """Make the missing folders above `output`; remove them again if the block raises."""
    missing_folders = []
    folder = os.path.dirname(os.path.abspath(output))
    while not os.path.lexists(folder):
        missing_folders.append(folder)
        folder = os.path.dirname(folder)
    new_folders: list[str] = []
    try:
        for folder in reversed(missing_folders):
            try:
                os.mkdir(folder, 0o755)
            except OSError as error:
                raise AutoinstrError(
                    f"-o {output}: {folder} cannot be made: {error.strerror}"
                ) from None
            new_folders.append(folder)
        yield
    except BaseException:
        for folder in reversed(new_folders):
            try:
                os.rmdir(folder)
            except OSError:  # another program has put a file there
                break
        raise
