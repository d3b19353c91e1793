"""Pairs each module range with a range on the device stream (option `streams=on`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.emitters.domains import make_device_domain

if TYPE_CHECKING:
    from autoinstr.emitters.emitter import Emitter, EndRange, StartRange


def pair_with_stream(emitter: Emitter, module_domain: str) -> tuple[StartRange, EndRange]:
    """Return callables that start and end two ranges: one on the host, one on the stream.

    One range cannot serve both: torch_npu stamps a range with a stream in its task thread, later
    than the operators inside it.
    """
    start, end, start_on_stream = emitter.start, emitter.end, emitter.start_on_stream
    assert start_on_stream is not None
    device_domain = make_device_domain(module_domain)

    def start_both(message: str, domain: str) -> Any:
        host_token = start(message, domain)
        try:
            return host_token, start_on_stream(message, device_domain)
        except BaseException:
            end(host_token, domain)
            raise

    def end_both(token: Any, domain: str) -> Any:
        host_token, device_token = token
        end(device_token, device_domain)
        return end(host_token, domain)

    return start_both, end_both
