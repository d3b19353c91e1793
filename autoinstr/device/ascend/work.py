"""Read the shapes of operators from a torch_npu database.

torch_npu writes a text for all inputs of an operator: commas between dimensions, semicolons between
inputs. Some versions write the types into the column of the shapes, and the shapes into that of the
types. None writes constants, so convolutions are of unknown cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.device.ascend.statements import READ_SHAPED
from autoinstr.device.profile_store import WORK
from autoinstr.device.work.formulas import FORMULAS
from autoinstr.device.work.shapes import compute_cost

if TYPE_CHECKING:
    from autoinstr.device.profile_store import ProfileStore


def add_work(store: ProfileStore, condition: str, columns: set[str]) -> None:
    """Copy the operators with a formula from the attached database."""
    has_shapes = {"inputShapes", "inputDtypes"} <= columns
    names = ",".join(f"'{name}'" for name in FORMULAS)
    shapes, types = ("p.inputShapes", "p.inputDtypes") if has_shapes else ("NULL", "NULL")
    statement = READ_SHAPED.format(names=names, condition=condition, shapes=shapes, types=types)
    for start, end, tid, name, dims, kinds in store.connection.execute(statement):
        if isinstance(dims, str) and any(map(str.isalpha, dims)):
            dims, kinds = kinds, dims
        store.has_shapes = store.has_shapes or bool(dims)
        cost = compute_cost(FORMULAS[name], _read_dims(dims), _split(kinds), None)
        store.add(WORK, (start, end, tid, *cost))
    store.flush()


def _split(text: object) -> list[str] | None:
    return [part.strip() for part in text.split(";")] if isinstance(text, str) else None


def _read_dims(text: object) -> list[list[int]] | None:
    parts = _split(text)
    if parts is None:
        return None
    return [
        [int(size) for size in part.split(",")] if part.replace(",", "").isdecimal() else []
        for part in parts
    ]
