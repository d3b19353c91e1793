"""Read what Kineto says about a collective: its process group, and its number in it.

torch writes `Seq` since 2.6. Sends and receives have a number for each pair of ranks: they are no
collectives.
"""

from __future__ import annotations

from typing import Any

from autoinstr.device.kineto.values import read_optional_integer

_OF_PAIRS = ("send", "recv")


def read_collective(args: dict[str, Any]) -> tuple[str, int, int | None] | None:
    """Return the group and the kind as a text, the number, and how many ranks there are."""
    name, group = args.get("Collective name"), args.get("Process Group Name")
    sequence = read_optional_integer(args.get("Seq"))
    if not isinstance(name, str) or group is None or sequence is None:
        return None
    if name.lower().endswith(_OF_PAIRS):
        return None
    size = read_optional_integer(args.get("Group size"))
    text = f"{group} {args.get('Process Group Ranks')} {name}"
    return text, sequence, size
