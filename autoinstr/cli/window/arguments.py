"""The arguments of `autoinstr ctl window`: how much is recorded."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from autoinstr.base.errors import UsageError
from autoinstr.config.suggestions import BadValue
from autoinstr.config.value_types import WindowType

MAX_SECONDS = 86_400


class WindowLimit(NamedTuple):
    """Skip `skip` steps, then record `steps` steps, or for `seconds`, or `megabytes` a process."""

    skip: int
    steps: int | None = None
    seconds: float | None = None
    megabytes: int | None = None


def add_window_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only `window` takes."""
    parser.add_argument(
        "steps", metavar="SKIP:COUNT", nargs="?", help="window: skip SKIP steps, record COUNT"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_parse_seconds, help="window: record for S seconds"
    )
    parser.add_argument(
        "--mb",
        metavar="MB",
        type=_parse_megabytes,
        help="window: record until a process has written MB megabytes",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="window: also run the profiler of torch or torch_npu",
    )


def read_limit(args: argparse.Namespace) -> WindowLimit:
    """Return what the user asks for. Raises UsageError."""
    given = [args.steps, args.seconds, args.mb]
    if sum(value is not None for value in given) != 1:
        raise UsageError(
            "ctl window needs one of: SKIP:COUNT in steps (10:5), --seconds S, --mb MB"
        )
    if args.seconds is not None:
        return WindowLimit(0, seconds=args.seconds)
    if args.mb is not None:
        return WindowLimit(0, megabytes=args.mb)
    try:
        window = WindowType().parse(args.steps)
    except BadValue as bad:
        hint = f"; did you mean {bad.suggestion!r}?" if bad.suggestion else ""
        raise UsageError(f"ctl window {args.steps!a}: {bad.problem}{hint}") from None
    if window is None or window[1] is None:
        raise UsageError(f"ctl window {args.steps!a}: has no end; give the number of steps: 10:5")
    return WindowLimit(*window)


def refuse_window_arguments(args: argparse.Namespace) -> None:
    """Raise UsageError if another subcommand of ctl got an argument of `window`."""
    for text in (
        args.steps,
        "--seconds" if args.seconds is not None else None,
        "--mb" if args.mb is not None else None,
        "--profile" if args.profile else None,
    ):
        if text is not None:
            raise UsageError(f"{text}: is for ctl window, not for ctl {args.verb}")


def _parse_seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{word!a} is not a number of seconds above 0, at most {MAX_SECONDS:,}"
        )
    return seconds


def _parse_megabytes(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and 0 < int(word[:12]) <= 1 << 30):
        raise argparse.ArgumentTypeError(f"{word!a} is not a whole number of MB above 0")
    return int(word)
