"""The SQL that copies a torch_npu database (attached as `source`) into a ProfileStore.

NAMES has the number of the text, and a class of it, for each id of STRING_IDS that is used.
"""

from __future__ import annotations

from autoinstr.device.ascend.database import OPERATOR_TYPE
from autoinstr.device.ascend.database_checks import (
    FIRST_RANGE_CONNECTION,
    LIMIT_NS,
    LONGEST_NS,
    THREAD_MASK,
)
from autoinstr.device.profile_store import BARE, KERNELS, LAUNCHES, OF_OPERATOR

MAKE_NAMES = "CREATE TABLE NAMES (id PRIMARY KEY, number INTEGER, class INTEGER)"
READ_NAMES = """
    SELECT i.name, s.value FROM (SELECT DISTINCT COALESCE(name, -1) AS name FROM ({ids})) i
    LEFT JOIN source.STRING_IDS s ON s.id = i.name"""


def _check_interval(start: str, end: str) -> str:
    """Return the condition that two values are the times of something; see is_interval."""
    return f"""(typeof({start}) = 'integer' AND typeof({end}) = 'integer'
        AND {start} > -{LIMIT_NS} AND {start} <= {end} AND {end} < {LIMIT_NS}
        AND {end} - {start} < {LONGEST_NS})"""


def _read_integer(value: str, default: str = "0") -> str:
    return f"CASE WHEN typeof({value}) = 'integer' THEN {value} ELSE {default} END"


def _read_connection(value: str) -> str:
    """Return a connection; NULL for one that CANN writes where there is none."""
    return (
        f"CASE WHEN typeof({value}) = 'integer' AND {value} >= 0 "
        f"AND {value} < {FIRST_RANGE_CONNECTION} THEN {value} END"
    )


_START, _END = "CAST(p.startNs AS INTEGER)", "CAST(p.endNs AS INTEGER)"
_HAS_THREAD = "typeof(p.globalTid) = 'integer'"
_HAS_PLACE = f"{_check_interval(_START, _START)} AND {_HAS_THREAD}"
_HAS_SEQUENCE = "typeof(p.sequenceNumber) = 'integer' AND p.sequenceNumber >= 0"

TASKS = "source.TASK t CROSS JOIN source.{table} c ON c.globalTaskId = t.globalTaskId"
COPY_TASKS = f"""
    SELECT t.startNs, t.endNs, {_read_integer("t.deviceId")}, {_read_integer("t.streamId")},
        {_read_connection("t.connectionId")}, n.number, ?, NULL
    FROM {TASKS} CROSS JOIN NAMES n ON n.id = COALESCE(c.name, -1)
    WHERE {_check_interval("t.startNs", "t.endNs")}"""
COPY_COLLECTIVES = f"""
    SELECT t.startNs, t.endNs, 0, 0, {_read_connection("t.connectionId")}, n.number, ?, NULL
    FROM source.COMMUNICATION_OP t CROSS JOIN NAMES n ON n.id = COALESCE(t.{{name}}, -1)
    WHERE {_check_interval("t.startNs", "t.endNs")}"""

IS_OPERATOR = f"p.type = {OPERATOR_TYPE}"
IS_VALID_OPERATOR = f"({_check_interval(_START, _END)} AND {_HAS_THREAD})"
COPY_OPERATORS = f"""
    SELECT {_START}, {_END}, p.globalTid & {THREAD_MASK}, n.number, n.class,
        CASE WHEN {_HAS_SEQUENCE} THEN p.sequenceNumber END,
        CASE WHEN typeof(p.fwdThreadId) = 'integer' AND p.fwdThreadId > 0 THEN p.fwdThreadId END
    FROM source.PYTORCH_API p CROSS JOIN NAMES n ON n.id = COALESCE(p.name, -1)
    WHERE {{condition}} AND ({_HAS_SEQUENCE} OR n.class != {{plain}}) AND {IS_VALID_OPERATOR}"""
READ_SHAPED = f"""
    SELECT {_START}, {_END}, p.globalTid & {THREAD_MASK}, n.value, s.value, t.value
    FROM source.PYTORCH_API p JOIN source.STRING_IDS n ON n.id = p.name
    LEFT JOIN source.STRING_IDS s ON s.id = {{shapes}}
    LEFT JOIN source.STRING_IDS t ON t.id = {{types}}
    WHERE n.value IN ({{names}}) AND {{condition}} AND {IS_VALID_OPERATOR}"""
# Operators that allocated something, and the allocations, in order of time.
READ_ALLOCATIONS = f"""
    SELECT {_START}, 0, n.value, {_END}, p.globalTid & {THREAD_MASK}
    FROM source.PYTORCH_API p JOIN source.STRING_IDS n ON n.id = p.name
    WHERE {{condition}} AND {IS_VALID_OPERATOR} AND n.value IN
        (SELECT a.value FROM source.OP_MEMORY m JOIN source.STRING_IDS a ON a.id = m.name)
    UNION ALL
    SELECT m.allocationTime, 1, COALESCE(a.value, ''), m.size,
        {_read_integer("m.allocationTotalAllocated", "NULL")}
    FROM source.OP_MEMORY m LEFT JOIN source.STRING_IDS a ON a.id = m.name
    WHERE {_check_interval("m.allocationTime", "m.allocationTime")}
        AND typeof(m.size) = 'integer' AND m.size BETWEEN 0 AND {LIMIT_NS}
    ORDER BY 1, 2"""
READ_COLLECTIVES = f"""
    SELECT {_read_connection("t.connectionId")}, t.endNs - t.startNs, g.value, n.value
    FROM source.COMMUNICATION_OP t JOIN source.STRING_IDS g ON g.id = t.groupName
    JOIN source.STRING_IDS n ON n.id = t.opName
    WHERE {_check_interval("t.startNs", "t.endNs")} ORDER BY t.startNs"""
READ_TRANSITS = """
    SELECT hccl_op_name, elapse_time, transit_time FROM CommAnalyzerTime
    WHERE typeof(hccl_op_name) = 'text' AND typeof(elapse_time) IN ('real', 'integer')
        AND typeof(transit_time) IN ('real', 'integer')"""
FIND_PROCESS = f"SELECT p.globalTid >> 32 FROM source.PYTORCH_API p WHERE {_HAS_THREAD} LIMIT 1"

COPY_LINKED = f"""
    SELECT {_START}, p.globalTid & {THREAD_MASK}, n.number, c.connectionId, 0, NULL, {OF_OPERATOR}
    FROM source.PYTORCH_API p CROSS JOIN source.CONNECTION_IDS c ON c.id = p.connectionId
    CROSS JOIN NAMES n ON n.id = COALESCE(p.name, -1)
    WHERE c.connectionId IN (SELECT correlation FROM {KERNELS}) AND {_HAS_PLACE}"""
COPY_CALLS = f"""
    SELECT p.startNs, p.globalTid & {THREAD_MASK}, n.number, p.connectionId, n.class, NULL, {BARE}
    FROM source.CANN_API p CROSS JOIN NAMES n ON n.id = COALESCE(p.name, -1)
    WHERE {_read_connection("p.connectionId")} IS NOT NULL
        AND p.connectionId NOT IN (SELECT correlation FROM {LAUNCHES})
        AND {_check_interval("p.startNs", "p.startNs")} AND {_HAS_THREAD}"""

COPY_MODULES = f"""
    SELECT {_START}, {_END}, p.globalTid & {THREAD_MASK}, n.number
    FROM (SELECT * FROM {{rows}}) p CROSS JOIN NAMES n ON n.id = COALESCE(p.name, -1)
    WHERE {IS_VALID_OPERATOR}"""
