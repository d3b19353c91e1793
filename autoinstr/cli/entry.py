"""The command line: `autoinstr <subcommand> …`.

A subcommand is one module here with two functions: `add_parser(subparsers)` declares its arguments
and sets `run` as the default, `run(args)` does the work and returns the exit status. It prints
results on stdout and raises `AutoinstrError` for everything that goes wrong: `main` is the only
place that prints an error, as one line on stderr, and the only place that chooses an exit status
for one. Whatever is slow to import is imported in `run`, so that `autoinstr path` stays instant.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.cli.parser import Parser
from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBCOMMANDS = (
    "run",
    "report",
    "diff",
    "merge",
    "view",
    "analyse",
    "doctor",
    "targets",
    "ctl",
    "bundle",
    "path",
)

EPILOG = """\
two ways to begin:
  autoinstr run -- python train.py              record every module call of an unedited program
  autoinstr report autoinstr-runs/<run>         what each layer cost, as a table

`autoinstr <subcommand> --help` shows examples of each.
"""


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="autoinstr",
        description="See where the time of an unedited PyTorch or vLLM program goes, module by module.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(
        title="subcommands", metavar="<subcommand>", dest="subcommand", parser_class=Parser
    )
    for name in SUBCOMMANDS:
        importlib.import_module(f"autoinstr.cli.commands.{name}").add_parser(subparsers)
    return parser


def _check_subcommand(words: Sequence[str]) -> None:
    """argparse lists all choices for a mistyped subcommand; the nearest one is the better
    answer."""
    if words and not words[0].startswith("-") and words[0] not in SUBCOMMANDS:
        near = nearest(words[0], SUBCOMMANDS)
        hint = f"; did you mean {near!r}?" if near else f" (there are: {', '.join(SUBCOMMANDS)})"
        raise UsageError(f"{words[0]!a} is not a subcommand{hint}")


def _dispatch(words: Sequence[str]) -> int:
    _check_subcommand(words)
    parser = build_parser()
    args = parser.parse_args(words)
    if args.version:
        from autoinstr import __version__

        print(f"autoinstr {__version__}")
        return 0
    if args.subcommand is None:
        parser.print_help()
        return 0
    status: int = args.run(args)
    sys.stdout.flush()
    return status


def _complain(error: BaseException) -> None:
    line = " ".join(str(error).split()) or type(error).__name__
    try:
        print(f"autoinstr: error: {line}", file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)
    except (ValueError, AttributeError):
        pass  # stderr is closed or was never there; the exit status still tells


def _give_up(stream: TextIO) -> None:
    """Nobody reads the stream any more: what is left in it goes nowhere, or Python's flush at exit
    would change the exit status to 120."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit status: 0 fine, 1 failed, 2 wrong usage."""
    try:
        return _dispatch(sys.argv[1:] if argv is None else argv)
    except SystemExit as request:  # argparse's own --help
        return request.code if isinstance(request.code, int) else 0
    except AutoinstrError as error:
        _complain(error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _give_up(sys.stdout)  # `autoinstr report … | head`
        return 1
    except OSError as error:
        _complain(error)
        try:
            sys.stdout.flush()
        except OSError:
            _give_up(sys.stdout)  # a full disk under `autoinstr report … > file`
        return 1
