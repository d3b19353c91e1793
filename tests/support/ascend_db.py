"""Make databases as torch_npu's analysis leaves them, with the tables that msprof-analyze reads.

The schema is that of torch_npu 2.13 and CANN. Example:

    with database(folder, rank=0) as made:
        with made.range("Qwen2Model"):
            made.operator("aten::linear", "MatMulV2", us=10)
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE STRING_IDS (id INTEGER PRIMARY KEY, value TEXT);
CREATE TABLE MSTX_EVENTS (startNs INTEGER, endNs INTEGER, eventType INTEGER, rangeId INTEGER,
    category INTEGER, message INTEGER, globalTid INTEGER, endGlobalTid INTEGER, domainId INTEGER,
    connectionId INTEGER);
CREATE TABLE PYTORCH_API (startNs TEXT, endNs TEXT, globalTid INTEGER, connectionId INTEGER,
    name INTEGER, sequenceNumber INTEGER, fwdThreadId INTEGER, inputDtypes INTEGER,
    inputShapes INTEGER, callchainId INTEGER, type INTEGER);
CREATE TABLE CONNECTION_IDS (id INTEGER, connectionId INTEGER);
CREATE TABLE TASK (startNs INTEGER, endNs INTEGER, deviceId INTEGER, connectionId INTEGER,
    globalTaskId INTEGER, globalPid INTEGER, taskType INTEGER, contextId INTEGER, streamId INTEGER,
    taskId INTEGER, modelId INTEGER);
CREATE TABLE COMPUTE_TASK_INFO (name INTEGER, globalTaskId INTEGER PRIMARY KEY, taskType INTEGER,
    opType INTEGER);
CREATE TABLE COMMUNICATION_OP (opName INTEGER, startNs INTEGER, endNs INTEGER,
    connectionId INTEGER, groupName INTEGER, opId INTEGER PRIMARY KEY, opType INTEGER);
CREATE TABLE CANN_API (startNs INTEGER, endNs INTEGER, type INTEGER, globalTid INTEGER,
    connectionId INTEGER, name INTEGER);
"""
US = 1_000
BEGIN = 1_753_431_284_000_000_000
HOST_ONLY = 4_000_000_001  # the first connection of ranges, as CANN numbers them
TID = (4242 << 32) | 4242


class Database:
    """A database that is being filled.

    The host's clock advances by a microsecond at each event. Kernels follow one another on the
    device.
    """

    def __init__(self, connection: sqlite3.Connection, begin: int) -> None:
        self.connection = connection
        self.now = begin
        self.device = begin + 500 * US
        self.names: dict[str, int] = {}
        self.tasks = 0
        self.ranges = 0

    def name(self, text: str) -> int:
        if text not in self.names:
            self.names[text] = len(self.names) + 1
            self.insert("STRING_IDS", self.names[text], text)
        return self.names[text]

    def insert(self, table: str, *values: object) -> None:
        self.connection.execute(
            f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values
        )

    def tick(self, us: float = 1) -> int:
        self.now += int(us * US)
        return self.now

    @contextmanager
    def range(
        self,
        message: str,
        domain: str = "Module",
        kind: int = 2,
        tid: int = TID,
        stream: bool = False,
    ) -> Iterator[None]:
        """Add a range. `kind` is its eventType (2: start/end). With `stream` it has a task on the
        device.
        """
        start = self.tick()
        yield
        self.ranges += 1
        connection = HOST_ONLY + self.ranges
        if stream:
            self.tasks += 1
            self.insert(
                "TASK",
                self.device,
                self.device,
                0,
                connection,
                self.tasks,
                4242,
                0,
                0,
                2,
                self.tasks,
                0,
            )
        self.insert(
            "MSTX_EVENTS",
            start,
            self.tick(),
            kind,
            1,
            1,
            self.name(message),
            tid,
            tid,
            self.name(domain),
            connection,
        )

    def operator(
        self,
        name: str,
        *kernels: str,
        us: float = 10,
        linked: bool = True,
        communication: bool = False,
        tid: int = TID,
        sequence: int = -1,
        forward: int = 0,
    ) -> None:
        """Add a torch operator that launches kernels of `us` each.

        An operator that is not linked stands for kernels that a graph launched without it.
        `sequence` and `forward` are autograd's number, and the forward thread of a backward one.
        """
        start = self.tick()
        link = 10_000 + self.tasks if linked and kernels else None
        for kernel in kernels:
            self.tasks += 1
            begin, end = self.device, self.device + int(us * US)
            self.device = end + US
            if communication:
                names = self.name(f"{kernel}_0"), self.name("tp"), self.name(kernel)
                self.insert(
                    "COMMUNICATION_OP",
                    names[0],
                    begin,
                    end,
                    self.tasks,
                    names[1],
                    self.tasks,
                    names[2],
                )
            else:
                self.insert(
                    "TASK", begin, end, 0, self.tasks, self.tasks, 4242, 0, 0, 2, self.tasks, 0
                )
                self.insert(
                    "COMPUTE_TASK_INFO", self.name(kernel), self.tasks, 0, self.name(kernel)
                )
            if link:
                self.insert("CONNECTION_IDS", link, self.tasks)
        self.insert(
            "PYTORCH_API",
            str(start),
            str(self.tick(8)),
            tid,
            link,
            self.name(name),
            sequence,
            forward,
            0,
            0,
            0,
            50001,
        )


@contextmanager
def database(
    folder: Path, rank: int | None = 0, at_s: float = 0, raw: bool = False, **settings: object
) -> Iterator[Database]:
    """Yield the database of a new *_ascend_pt folder. `settings` are those of its profiler."""
    output = folder / "ASCEND_PROFILER_OUTPUT"
    output.mkdir(parents=True)
    if raw:
        (folder / "FRAMEWORK").mkdir()
    suffix = "" if rank is None else f"_{rank}"
    config = {"config": {"common_config": settings, "experimental_config": {}}}
    (folder / f"profiler_info{suffix}.json").write_text(json.dumps(config))
    connection = sqlite3.connect(output / f"ascend_pytorch_profiler{suffix}.db")
    connection.executescript(SCHEMA)
    yield Database(connection, BEGIN + int(at_s * 1e9))
    connection.commit()
    connection.close()


def model(made: Database, layers: int = 2, us: float = 10) -> None:
    """Add one call of a small model: embedding, `layers` of attention and mlp, then a sample
    outside it.
    """
    with made.range("Model"):
        with made.range("Embedding"):
            made.operator("aten::embedding", "GatherV2", us=2)
        for _ in range(layers):
            with made.range("Layer"):
                with made.range("Attention"):
                    with made.range("Linear"):
                        made.operator("aten::linear", "MatMulV2", us=us)
                    made.operator("npu::attention", "FlashAttention", us=2 * us)
                with made.range("MLP"):
                    with made.range("Linear"):
                        made.operator("aten::linear", "MatMulV2", us=us)
                    made.operator("c10d::allreduce_", "hcom_allReduce_", us=5, communication=True)
    made.operator("aten::argmax", "ArgMaxV2", us=4)
