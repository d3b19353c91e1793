"""Run one command line: pick the subcommand, print errors and choose the exit status.

A subcommand prints its results on stdout and raises `AutoinstrError` if it fails. `main` is the
only place that prints an error, as one line on stderr, and that turns one into an exit status.
"""

from __future__ import annotations

import codecs
import os
import sys
from typing import TYPE_CHECKING, TextIO

from autoinstr.base.errors import AutoinstrError
from autoinstr.base.text import ASCII_TABLE
from autoinstr.cli.subcommands import build_parser, check_subcommand

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit status: 0 success, 1 failure, 2 wrong usage."""
    _replace_unknown_characters()
    try:
        return _run_subcommand(sys.argv[1:] if argv is None else argv)
    except SystemExit as exit_request:  # argparse exits after --help
        return exit_request.code if isinstance(exit_request.code, int) else 0
    except AutoinstrError as error:
        _print_error(error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _redirect_to_null(sys.stdout)  # the reader of `autoinstr report … | head` has ended
        return 1
    except OSError as error:
        _print_error(error)
        try:
            sys.stdout.flush()
        except OSError:
            _redirect_to_null(sys.stdout)  # a full disk under `autoinstr report … > file`
        return 1


def _replace_unknown_characters() -> None:
    """Let streams write similar characters for those that their encoding lacks: u for µ."""
    codecs.register_error("autoinstr", _write_similar)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors in ("strict", "backslashreplace"):
            reconfigure(errors="autoinstr")


def _write_similar(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    similar = error.object[error.start : error.end].translate(ASCII_TABLE)
    return similar.encode("ascii", "backslashreplace").decode(), error.end


def _run_subcommand(words: Sequence[str]) -> int:
    # argparse would list all subcommands for a mistyped one; the nearest is a better answer
    if words and not words[0].startswith("-"):
        check_subcommand(words[0])
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


def _print_error(error: BaseException) -> None:
    line = " ".join(str(error).split()) or type(error).__name__
    try:
        print(f"autoinstr: error: {line}", file=sys.stderr, flush=True)
    except OSError:
        _redirect_to_null(sys.stderr)
    except (ValueError, AttributeError):
        pass  # stderr is closed or was never open; the exit status still reports the failure


def _redirect_to_null(stream: TextIO) -> None:
    """Discard what is left in a stream that nobody reads any more.

    Otherwise Python's flush at exit would fail and change the exit status to 120."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
