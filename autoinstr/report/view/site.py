"""The addresses of a server: its secret, its routes, and addresses that work once."""

from __future__ import annotations

import hmac
import secrets
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoinstr.report.view.routes import Route


class Site:
    """The routes below a secret address.

    Recordings are private, and every user of the machine can connect to the port. So only the
    terminal shows the secret.
    """

    def __init__(self, routes: dict[str, Route]) -> None:
        self.secret = secrets.token_urlsafe(18)
        self._routes = routes
        self._launches: dict[str, str] = {}  # code -> address
        self._lock = threading.Lock()

    def find_route(self, secret: str, address: str) -> Route | None:
        """Return the route of an address, or None if the address or the secret is wrong."""
        is_secret = hmac.compare_digest(secret.encode(), self.secret.encode())
        return self._routes.get(address) if is_secret else None

    def create_launch(self, address: str) -> str:
        """Return a code that leads to `address` once.

        Every user of the machine can read the command line of a browser, so that must not contain
        the secret.
        """
        code = secrets.token_urlsafe(18)
        with self._lock:
            self._launches[code] = address
        return code

    def use_launch(self, code: str) -> str | None:
        """Return the address of a code at its first use, else None."""
        with self._lock:
            return self._launches.pop(code, None)
