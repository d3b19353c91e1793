"""The names of the domains that are made from the modules' domain.

None begins with the name of another: MSPTI takes a domain for one that it knows if the name begins
with that one's."""

from __future__ import annotations

import re


def make_thread_domain(domain: str, number: int) -> str:
    """Return the domain of a thread that calls modules while another one has `domain`."""
    return f"thread-{number}:{domain}"


def make_device_domain(domain: str) -> str:
    """Return the domain of module ranges on a device stream."""
    return f"device:{domain}"


def is_thread_domain(name: str, domain: str) -> bool:
    """Return whether the name is a thread's domain, also in its earlier form."""
    is_current = re.fullmatch(rf"thread-\d+:{re.escape(domain)}", name) is not None
    return is_current or name.startswith(f"{domain}:thread-")


def is_device_domain(name: str, domain: str) -> bool:
    """Return whether the name is the device's domain, also in its earlier form."""
    return name in (make_device_domain(domain), f"{domain}Device")
