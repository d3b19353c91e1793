"""Write the kernels of a process to a Chrome trace: one row for each stream of its device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

from autoinstr.report.timeline.chrome_serving import format_microseconds, write_metadata
from autoinstr.report.timeline.kernel_lanes import iterate_batches

if TYPE_CHECKING:
    from autoinstr.analysis.device_kernels import DeviceKernels


def write_kernels(
    stream: BinaryIO, kernels: DeviceKernels, pid: int, offset_ns: int, first_row: int
) -> int:
    """Write all kernels, in rows from `first_row` on. Return how many rows there are.

    Each kernel has its module, basis and kind as arguments."""
    rows: dict[tuple[int, int, int], int] = {}
    heads: list[str] = []
    tails: list[str] = []
    for batch in iterate_batches(kernels):
        for name in kernels.names[len(heads) :]:
            heads.append(f',\n{{"ph":"X","name":{json.dumps(name.kernel)},"cat":"kernel"')
            facts = {"module": name.module, "basis": name.basis, "kind": name.kind}
            args = json.dumps({key: text for key, text in facts.items() if text})
            tails.append(f',"args":{args}}}')
        key = (batch.device, batch.stream, batch.lane)
        if key not in rows:
            row = rows[key] = first_row + len(rows)
            write_metadata(stream, "thread_name", pid, row, {"name": batch.label})
            write_metadata(stream, "thread_sort_index", pid, row, {"sort_index": row})
        where = f',"pid":{pid},"tid":{rows[key]},"ts":'
        stream.write(
            "".join(
                [
                    f"{heads[name]}{where}{format_microseconds(start + offset_ns)},"
                    f'"dur":{format_microseconds(end - start)}{tails[name]}'
                    for name, start, end in zip(batch.names, batch.starts, batch.ends)
                ]
            ).encode()
        )
    return len(rows)
