"""Simulated `msprof --export=on --output=PROF_...`: with `--type=db` the database that torch_npu merges into its own, else the timeline.

Simulated: the tables MSTX_EVENTS, STRING_IDS and ENUM_MSTX_EVENT_TYPE, from host/mstx.jsonl: marks, and ranges whose start and end both
fall into the session (as the real one drops ranges begun before it). Times are wall-clock ns of the host.
Not simulated: everything else: no kernel, no task, no CANN call, no connection. connectionId and globalTid are made up in the manner of the
real one.
"""

import json
import os
import sqlite3
import sys
import time
from typing import Any

NO_ID = 4294967295
TABLES = """
CREATE TABLE STRING_IDS(id INTEGER PRIMARY KEY, value TEXT);
CREATE TABLE ENUM_MSTX_EVENT_TYPE(id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO ENUM_MSTX_EVENT_TYPE VALUES (0, 'marker'), (1, 'push/pop'), (2, 'start/end'), (3, 'marker_ex');
CREATE TABLE MSTX_EVENTS(startNs INTEGER, endNs INTEGER, eventType INTEGER, rangeId INTEGER, category INTEGER, message INTEGER,
                         globalTid INTEGER, endGlobalTid INTEGER, domainId INTEGER, connectionId INTEGER);
"""


def rows(calls: list[dict[str, Any]], strings: dict[str, int]) -> list[tuple[int, ...]]:
    """The rows of MSTX_EVENTS; fills `strings`."""
    found: list[tuple[int, ...]] = []
    started: dict[int, dict[str, Any]] = {}
    for call in calls:
        if call["call"] == "start":
            started[call["id"]] = call
            continue
        first = call if call["call"] == "mark" else started.pop(call["id"], None) if call["call"] == "end" else None
        if first is None:
            continue
        message, domain = (strings.setdefault(first[key], len(strings)) for key in ("message", "domain"))
        kind = 2 if call["call"] == "end" else 3 if call["stream"] else 0
        threads = [(one["pid"] << 32) | one["tid"] for one in (first, call)]
        found.append((first["wall_ns"], call["wall_ns"], kind, call["id"] or NO_ID, 0, message, *threads, domain, 4000000001 + len(found)))
    return found


def export_database(prof: str) -> None:
    """Writes msprof_<time>.db into the PROF folder."""
    strings: dict[str, int] = {}
    database = sqlite3.connect(os.path.join(prof, f"msprof_{time.strftime('%Y%m%d%H%M%S')}.db"))
    database.executescript(TABLES)
    with open(os.path.join(prof, "host", "mstx.jsonl"), encoding="utf-8") as file:
        database.executemany("INSERT INTO MSTX_EVENTS VALUES (?,?,?,?,?,?,?,?,?,?)", rows([json.loads(line) for line in file], strings))
    database.executemany("INSERT INTO STRING_IDS VALUES (?,?)", [(number, text) for text, number in strings.items()])
    database.commit()
    database.close()


def export_text(prof: str) -> None:
    """Writes a timeline of no events but a process's name, and one empty table: what torch_npu's text export looks for."""
    folder = os.path.join(prof, "mindstudio_profiler_output")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"msprof_{time.strftime('%Y%m%d%H%M%S')}.json"), "w") as file:
        json.dump([{"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "simulated CANN"}}], file)
    open(os.path.join(folder, "empty.csv"), "w").close()


if "--help" in sys.argv:
    print("--type=<type>")
else:
    given = dict(argument.lstrip("-").partition("=")[::2] for argument in sys.argv[1:])
    if given.get("export") == "on":
        (export_database if given.get("type") == "db" else export_text)(given["output"])
        time.sleep(0.4)  # torch_npu looks for a running msprof every 0.1 s, and leaves its database step out when it never saw one
