"""Starts the metrics of a session, as its options say."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from autoinstr.agent.metrics.service import MetricsService
from autoinstr.agent.metrics.show import OtlpShow, PrometheusShow
from autoinstr.base.guard import contain_errors
from autoinstr.base.process_facts import register_at_exit

if TYPE_CHECKING:
    from autoinstr.agent.metrics.show import Show
    from autoinstr.agent.session import Session


@contain_errors("starting metrics")
def start(session: Session) -> None:
    """Start to count and to show."""
    show: Show
    if session.config.get_metrics() == "otlp":
        show = OtlpShow()
    else:
        show = PrometheusShow(session, *session.config.metrics_address)
    service = MetricsService(session, show)
    service.start()
    os.register_at_fork(
        before=service.stop,
        after_in_parent=service.restart_later,
        after_in_child=service.restart_in_child,
    )
    close = contain_errors("ending metrics")(service.close)
    atexit.register(close)
    register_at_exit(close)  # of a child of multiprocessing, which runs no atexit functions
