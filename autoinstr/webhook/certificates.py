"""The certificate of the webhook, read again when its files change.

Kubernetes replaces the files of a mounted Secret by moving a link, so both change in one step."""

from __future__ import annotations

import os
import ssl
from threading import Lock

from autoinstr.base.errors import AutoinstrError
from autoinstr.base.log import get_logger


class Certificates:
    """A certificate chain and its private key, in two PEM files."""

    def __init__(self, certificate: str, key: str) -> None:
        """Read the files. AutoinstrError if they are no certificate and its key."""
        self._paths = (certificate, key)
        self._lock = Lock()
        try:
            self._version = self._read_version()
            self._context = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise AutoinstrError(
                f"{certificate} and {key} are no certificate and its key: {error}"
            ) from None

    def get_context(self) -> ssl.SSLContext:
        """Return the context for a new connection, from the files as they are now.

        Files that cannot be used leave the last certificate in place, with one log line."""
        with self._lock:
            try:
                version = self._read_version()
                if version != self._version:
                    self._version = version
                    self._context = self._load()
                    get_logger().info("certificate read again", file=self._paths[0])
            except (OSError, ValueError) as error:
                get_logger().error("the new certificate cannot be used", error=error)
            return self._context

    def _read_version(self) -> tuple[tuple[int, int, int], ...]:
        statuses = [os.stat(path) for path in self._paths]
        return tuple((item.st_ino, item.st_mtime_ns, item.st_size) for item in statuses)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._paths)
        return context
