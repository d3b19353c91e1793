"""Read the collectives of a torch_npu database.

The name of a collective is the same on all ranks, and has its number in the group:
"hcom_allReduce__721_3_1". The database does not say how many ranks a group has. `analysis.db`
beside it (from Level1 on) has how long each transferred.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from autoinstr.device.ascend.statements import READ_COLLECTIVES, READ_TRANSITS
from autoinstr.device.profile_store import COLLECTIVES

if TYPE_CHECKING:
    from autoinstr.device.profile_store import ProfileStore

_NAME = re.compile(r"(?P<kind>\w+?)__(?P<group>\d+)_(?P<number>\d{1,15})_\d+")
_OF_PAIRS = ("send", "receive")
ANALYSIS = "analysis.db"
NS_PER_MS = 1e6
MOST_NS_OFF = 1_000  # between the durations of the two databases


def add_collectives(store: ProfileStore) -> None:
    """Copy the collectives of the attached database. Sends and receives are none."""
    transits = _read_transits(os.path.join(os.path.dirname(store.path), ANALYSIS))
    for connection, ns, group, name in store.connection.execute(READ_COLLECTIVES):
        match = _NAME.fullmatch(name)
        if match is None or any(word in name.lower() for word in _OF_PAIRS):
            continue
        elapsed_ns, transit_ns = transits.get(name, (0, None))
        if abs(elapsed_ns - ns) > MOST_NS_OFF:
            transit_ns = None
        text = store.intern_text(f"{group} {match['kind']}")
        store.add(COLLECTIVES, (connection, ns, text, int(match["number"]), None, transit_ns))
    store.flush()


def _read_transits(path: str) -> dict[str, tuple[int, int | None]]:
    """Return the durations of collectives, and of their transfers, by name. A name that is there
    twice has none."""
    if not os.path.isfile(path):
        return {}
    transits: dict[str, tuple[int, int | None]] = {}
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True)
        try:
            for name, elapsed, transit in connection.execute(READ_TRANSITS):
                is_known = name not in transits
                transit_ns = round(transit * NS_PER_MS) if is_known else None
                transits[name] = round(elapsed * NS_PER_MS), transit_ns
        finally:
            connection.close()
    except (sqlite3.Error, OverflowError, ValueError):
        return {}  # another schema, or a damaged file: nothing depends on it
    return transits
