"""Tables and constants of torch_npu's database, as torch_npu 2.13 and CANN's msprof write them.

A data table exists only if it has rows.
"""

from __future__ import annotations

# CANN's value for "none": the connection of a host-only range, its category, its model.
NO_VALUE = 4_294_967_295
NO_CONNECTION = -1  # torch_npu's value for a task with an unknown launch
NO_DEVICE = -1  # torch_npu's value for a rank without a device
MARK, START_END = 0, 2  # MSTX_EVENTS.eventType
OPERATOR = 50_001  # PYTORCH_API.type
RUNTIME = 5_000  # CANN_API.type: a call of the driver or of its runtime

TABLES = {
    "STRING_IDS": "id INTEGER PRIMARY KEY, value TEXT",
    "ENUM_MSTX_EVENT_TYPE": "id INTEGER PRIMARY KEY, name TEXT",
    "ENUM_API_TYPE": "id INTEGER PRIMARY KEY, name TEXT",
    "META_DATA": "name TEXT, value TEXT",
    "HOST_INFO": "hostUid TEXT, hostName TEXT",
    "RANK_DEVICE_MAP": "rankId INTEGER, deviceId INTEGER",
    "SESSION_TIME_INFO": "startTimeNs INTEGER, endTimeNs INTEGER",
    "STEP_TIME": "id INTEGER, startNs INTEGER, endNs INTEGER",
    "MSTX_EVENTS": """startNs INTEGER, endNs INTEGER, eventType INTEGER, rangeId INTEGER,
        category INTEGER, message INTEGER, globalTid INTEGER, endGlobalTid INTEGER,
        domainId INTEGER, connectionId INTEGER""",
    "PYTORCH_API": """startNs TEXT, endNs TEXT, globalTid INTEGER, connectionId INTEGER,
        name INTEGER, sequenceNumber INTEGER, fwdThreadId INTEGER, inputDtypes INTEGER,
        inputShapes INTEGER, callchainId INTEGER, type INTEGER""",
    "CONNECTION_IDS": "id INTEGER, connectionId INTEGER",
    "CANN_API": """startNs INTEGER, endNs INTEGER, type INTEGER, globalTid INTEGER,
        connectionId INTEGER, name INTEGER""",
    "TASK": """startNs INTEGER, endNs INTEGER, deviceId INTEGER, connectionId INTEGER,
        globalTaskId INTEGER, globalPid INTEGER, taskType INTEGER, contextId INTEGER,
        streamId INTEGER, taskId INTEGER, modelId INTEGER""",
    "COMPUTE_TASK_INFO": """name INTEGER, globalTaskId INTEGER PRIMARY KEY, blockNum INTEGER,
        mixBlockNum INTEGER, taskType INTEGER, opType INTEGER, inputFormats INTEGER,
        inputDataTypes INTEGER, inputShapes INTEGER, outputFormats INTEGER,
        outputDataTypes INTEGER, outputShapes INTEGER, attrInfo INTEGER, opState INTEGER,
        hf32Eligible INTEGER""",
    "COMMUNICATION_OP": """opName INTEGER, startNs INTEGER, endNs INTEGER, connectionId INTEGER,
        groupName INTEGER, opId INTEGER PRIMARY KEY, relay INTEGER, retry INTEGER,
        dataType INTEGER, algType INTEGER, count NUMERIC, opType INTEGER, deviceId INTEGER""",
}  # fmt: skip

# Rows that every database has.
CONSTANT_ROWS = {
    "ENUM_MSTX_EVENT_TYPE": ((0, "marker"), (1, "push/pop"), (2, "start/end"), (3, "marker_ex")),
    "ENUM_API_TYPE": (
        (20_000, "acl"),
        (15_000, "model"),
        (10_000, "node"),
        (5_500, "communication"),
        (5_000, "runtime"),
        (50_001, "op"),
        (50_002, "queue"),
        (50_003, "trace"),
        (50_004, "mstx"),
    ),
    "META_DATA": (
        ("SCHEMA_VERSION", "1.1.0"),
        ("SCHEMA_VERSION_MAJOR", "1"),
        ("SCHEMA_VERSION_MINOR", "1"),
        ("SCHEMA_VERSION_MICRO", "0"),
    ),
}
