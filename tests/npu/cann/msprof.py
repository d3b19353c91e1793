"""Simulated `msprof --export=on --output=PROF_...`: with `--type=db` the database that torch_npu
merges into its own, else the timeline.

Simulated: MSTX_EVENTS from host/mstx.jsonl: marks, and ranges whose start and end both fall into
the session (as the real one drops ranges begun before it); TASK, COMPUTE_TASK_INFO,
COMMUNICATION_OP and CANN_API (the launches, of level node) from host/tasks.jsonl, where
aclprofStart asked for tasks; their STRING_IDS and enumerations. Columns as in msprof's own
description of its database. Times are wall-clock ns, by host/start_info, as torch_npu reckons them.
A range that was made with a stream has a task of its connection, and one task has none, as CANN
writes them. Not simulated: every other table and column (shapes, formats, counters, calls of other
levels, device times of marks and ranges with a stream). globalTid and connection ids are made up
in the manner of the real one; which operator a launch belongs to is not said here: torch_npu finds
out.
"""

import ast
import json
import os
import sqlite3
import sys
import time
from typing import Any

NO_ID = 4294967295  # what CANN writes where there is none: of tasks 984 of 1,742 in a real profile
FIRST_RANGE = 4000000001  # CANN: the number of the mark, and this
NODE, ACL = 10000, 20000
CALL = "CALL"  # the kind of a call on the host that launches no task
COMMUNICATION = "COMMUNICATION"  # the kind of a collective
TABLES = """
CREATE TABLE STRING_IDS(id INTEGER PRIMARY KEY, value TEXT);
CREATE TABLE ENUM_MSTX_EVENT_TYPE(id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO ENUM_MSTX_EVENT_TYPE
    VALUES (0, 'marker'), (1, 'push/pop'), (2, 'start/end'), (3, 'marker_ex');
CREATE TABLE MSTX_EVENTS(
    startNs INTEGER, endNs INTEGER, eventType INTEGER, rangeId INTEGER, category INTEGER,
    message INTEGER, globalTid INTEGER, endGlobalTid INTEGER, domainId INTEGER,
    connectionId INTEGER);
"""
TASK_TABLES = """
CREATE TABLE ENUM_API_TYPE(id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO ENUM_API_TYPE
    VALUES (20000, 'acl'), (15000, 'model'), (10000, 'node'), (5500, 'communication'),
    (5000, 'runtime');
CREATE TABLE CANN_API(
    startNs INTEGER, endNs INTEGER, type INTEGER, globalTid INTEGER,
    connectionId INTEGER PRIMARY KEY, name INTEGER);
CREATE TABLE TASK(
    startNs INTEGER, endNs INTEGER, deviceId INTEGER, connectionId INTEGER, globalTaskId INTEGER,
    globalPid INTEGER, taskType INTEGER, contextId INTEGER, streamId INTEGER, taskId INTEGER,
    modelId INTEGER);
CREATE TABLE COMPUTE_TASK_INFO(
    name INTEGER, globalTaskId INTEGER PRIMARY KEY, blockNum INTEGER, mixBlockNum INTEGER,
    taskType INTEGER, opType INTEGER, inputFormats INTEGER, inputDataTypes INTEGER,
    inputShapes INTEGER, outputFormats INTEGER, outputDataTypes INTEGER, outputShapes INTEGER,
    attrInfo INTEGER, opState INTEGER, hf32Eligible INTEGER);
"""


COMMUNICATION_TABLE = """
CREATE TABLE COMMUNICATION_OP(
    opName INTEGER, startNs INTEGER, endNs INTEGER, connectionId INTEGER, groupName INTEGER,
    opId INTEGER PRIMARY KEY, relay INTEGER, retry INTEGER, dataType INTEGER, algType INTEGER,
    count NUMERIC, opType INTEGER, deviceId INTEGER);
"""


class Strings(dict[str, int]):
    """The ids of STRING_IDS; a new text gets the next id."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]


def read(prof: str, name: str) -> list[dict[str, Any]]:
    path = os.path.join(prof, "host", name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def thread(line: dict[str, Any]) -> int:
    return int(line["pid"] << 32 | line["tid"])


def mstx_rows(
    calls: list[dict[str, Any]],
    strings: Strings,
    wall: int,
    found_with_stream: list[tuple[int, int]],
) -> list[tuple[int, ...]]:
    """Return the rows of MSTX_EVENTS; `wall` is added to each time of the log.

    Add the time and the connection of those with a stream to `found_with_stream`."""
    found: list[tuple[int, ...]] = []
    started: dict[int, dict[str, Any]] = {}
    for call in calls:
        if call["call"] == "start":
            started[call["id"]] = call
            continue
        first = (
            call
            if call["call"] == "mark"
            else started.pop(call["id"], None)
            if call["call"] == "end"
            else None
        )
        if first is None:
            continue
        kind = 2 if call["call"] == "end" else 3 if call["stream"] else 0
        times = [one["raw_ns"] + wall for one in (first, call)]
        texts = strings[first["message"]], thread(first), thread(call), strings[first["domain"]]
        found.append((*times, kind, call["id"] or NO_ID, 0, *texts, FIRST_RANGE + len(found)))
        if first["stream"]:
            found_with_stream.append((times[0], FIRST_RANGE + len(found) - 1))
    return found


def add_tasks(
    database: sqlite3.Connection, tasks: list[dict[str, Any]], strings: Strings, wall: int
) -> None:
    """Fill the tables of tasks: each task has one launch, with a common connection.

    A captured launch has no task. That of a replay has the connection of the captured launch."""
    database.executescript(TASK_TABLES)
    if any(task["kind"] == COMMUNICATION for task in tasks):
        database.executescript(COMMUNICATION_TABLE)
    none = strings["N/A"]
    for number, task in enumerate(tasks):
        kind, name, launch = strings[task["kind"]], strings[task["name"]], strings["launch"]
        host = task["launched"] + wall, task["done"] + wall, NODE, thread(task), task["id"], launch
        if task["kind"] == CALL:
            host = *host[:2], ACL, *host[3:5], strings[task["name"]]
        if "replayed" not in task:
            database.execute("INSERT INTO CANN_API VALUES (?,?,?,?,?,?)", host)
        if task["kind"] == CALL or "captured" in task:
            continue
        if task["kind"] == COMMUNICATION:
            collective = (
                strings[f"{task['name']}_{number}"],
                task["start"] + wall,
                task["end"] + wall,
                task["id"],
                strings[task["group"]],
            )
            more = number, 0, 0, task["type"], none, task["count"], name, task["device"]
            database.execute(
                "INSERT INTO COMMUNICATION_OP VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", collective + more
            )
            continue
        device = (
            task["start"] + wall,
            task["end"] + wall,
            task["device"],
            task["id"] or NO_ID,
            number,
            task["pid"],
        )
        database.execute(
            "INSERT INTO TASK VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (*device, kind, NO_ID, task["stream"], number, NO_ID),
        )
        what = strings[task["name"].removeprefix("cannsim_")] if task["basic"] else none
        information = name, number, 1, 0, kind, what, *[none] * 9
        database.execute(
            f"INSERT INTO COMPUTE_TASK_INFO VALUES ({','.join('?' * len(information))})",
            information,
        )


def add_other_tasks(
    database: sqlite3.Connection, strings: Strings, with_stream: list[tuple[int, int]], wall: int
) -> None:
    """Add tasks that are no kernels: an event, which has no connection, and those of ranges."""
    [(number, time_ns)] = database.execute(
        "SELECT COALESCE(MAX(globalTaskId), -1) + 1, MIN(startNs) FROM TASK"
    )
    rows = [(time_ns or wall, NO_ID, strings["EVENT_RECORD"])]
    rows += [(start, connection, strings["MSTX"]) for start, connection in with_stream]
    for index, (start, connection, kind) in enumerate(rows):
        database.execute(
            "INSERT INTO TASK VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (start, start, 0, connection, number + index, 0, kind, NO_ID, 0, number + index, NO_ID),
        )


def export_database(prof: str) -> None:
    """Write msprof_<time>.db into the PROF folder."""
    strings = Strings()
    with open(os.path.join(prof, "host", "start_info")) as file:
        info = ast.literal_eval(file.read())
    wall = int(info["collectionTimeBegin"]) * 1000 - int(info["clockMonotonicRaw"])
    database = sqlite3.connect(os.path.join(prof, f"msprof_{time.strftime('%Y%m%d%H%M%S')}.db"))
    database.executescript(TABLES)
    with_stream: list[tuple[int, int]] = []
    database.executemany(
        "INSERT INTO MSTX_EVENTS VALUES (?,?,?,?,?,?,?,?,?,?)",
        mstx_rows(read(prof, "mstx.jsonl"), strings, wall, with_stream),
    )
    if os.path.exists(os.path.join(prof, "host", "tasks.jsonl")):
        add_tasks(database, read(prof, "tasks.jsonl"), strings, wall)
        add_other_tasks(database, strings, with_stream, wall)
    database.executemany(
        "INSERT INTO STRING_IDS VALUES (?,?)", [(number, text) for text, number in strings.items()]
    )
    database.commit()
    database.close()


def export_text(prof: str) -> None:
    """Write a timeline with only a process name, and one empty table.

    torch_npu's text export looks for these files.
    """
    folder = os.path.join(prof, "mindstudio_profiler_output")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"msprof_{time.strftime('%Y%m%d%H%M%S')}.json"), "w") as file:
        json.dump(
            [
                {
                    "name": "process_name",
                    "ph": "M",
                    "pid": 1,
                    "tid": 0,
                    "args": {"name": "simulated CANN"},
                }
            ],
            file,
        )
    open(os.path.join(folder, "empty.csv"), "w").close()


if "--help" in sys.argv:
    print("--type=<type>")
else:
    given = dict(argument.lstrip("-").partition("=")[::2] for argument in sys.argv[1:])
    if given.get("export") == "on":
        (export_database if given.get("type") == "db" else export_text)(given["output"])
        # torch_npu looks for a running msprof every 0.1 s, and skips its database step if it never
        # saw one.
        time.sleep(0.4)
