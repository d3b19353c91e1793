"""Run the admission webhook until SIGTERM: `python -m autoinstr.webhook --init-image IMAGE`.

deploy/helm/autoinstr starts it in Kubernetes."""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from threading import Thread

from autoinstr import __version__
from autoinstr.base import log
from autoinstr.base.errors import AutoinstrError
from autoinstr.webhook.certificates import Certificates
from autoinstr.webhook.injection import DEFAULT_OPTIONS, InjectionSettings, choose_options
from autoinstr.webhook.review import answer_review
from autoinstr.webhook.server import REQUEST_S, WebhookServer

LAST_REQUESTS_S = REQUEST_S + 2


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m autoinstr.webhook", description=__doc__)
    parser.add_argument("--init-image", required=True, help="image that has the bundle")
    parser.add_argument(
        "--init-pull-policy", default="", choices=("", "Always", "IfNotPresent", "Never")
    )
    parser.add_argument(
        "--options", default=DEFAULT_OPTIONS, help="AUTOINSTR of pods without the annotation"
    )
    parser.add_argument("--recordings-size", default="4Gi", help="size of the recordings' emptyDir")
    parser.add_argument("--certificate", default="/tls/tls.crt", help="PEM file of the chain")
    parser.add_argument("--key", default="/tls/tls.key", help="PEM file of the private key")
    parser.add_argument("--address", default="", help="to listen on; all by default")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument(
        "--drain", type=float, default=5, help="seconds of further service after SIGTERM"
    )
    parser.add_argument("--log-format", default="console", choices=("console", "json"))
    return parser


def run(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status.

    AutoinstrError if the certificate or the options cannot be used, OSError if the address
    cannot."""
    given = make_parser().parse_args(arguments)
    log.avoid_imports(True)
    log.configure("info", given.log_format)
    # Threads inherit the mask, so this thread alone gets the signals.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    settings = InjectionSettings(
        given.init_image,
        given.init_pull_policy,
        choose_options(given.options, DEFAULT_OPTIONS),
        given.recordings_size,
    )
    server = WebhookServer(
        given.address,
        given.port,
        Certificates(given.certificate, given.key),
        partial(answer_review, settings=settings),
    )
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    logger = log.get_logger()
    logger.info("webhook listens", port=server.server_port, version=__version__)
    signal.sigwait(ends)
    # Requests come until each API server knows that this pod ends. A second signal ends it now.
    server.is_draining = True
    logger.info("webhook ends", seconds=given.drain)
    signal.sigtimedwait(ends, given.drain)
    server.shutdown()
    if server.request_count:
        logger.info("webhook waits for requests", count=server.request_count)
    if not server.wait_for_requests(LAST_REQUESTS_S):
        logger.warning("a request had no answer in time")
    server.server_close()
    return 0


def main() -> int:
    """Run the program; an error is one line on stderr."""
    try:
        return run(sys.argv[1:])
    except (AutoinstrError, OSError) as error:
        print(f"autoinstr webhook: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
