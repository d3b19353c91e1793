"""Tells the session which roles the process takes on, from the classes that are instantiated
(instrument/steps/role_classes.py)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument import importhook
from autoinstr.instrument.steps.role_classes import ROLES, RoleRow

if TYPE_CHECKING:
    from types import ModuleType


class RolePatches:
    """Wraps `__init__` of each class in the table once its module is imported."""

    def __init__(self, told: Callable[[str, Any, Any], None]) -> None:
        """`told(role, rank or None, world size or None)` is called when an instance was made; it
        never raises."""
        self._told = told
        self._done: list[tuple[type, Any, Any]] = []

    def apply(self) -> None:
        """Register every row with the import hook."""
        for row in ROLES:
            importhook.register(row.module, functools.partial(self._wrap, row))

    def _wrap(self, row: RoleRow, module: ModuleType) -> None:
        cls = getattr(module, row.cls, None)
        original = cls.__dict__.get("__init__") if isinstance(cls, type) else None
        if original is None or any(original is ours for _, _, ours in self._done):
            return
        told = self._told

        @functools.wraps(original)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            told(row.role, None, None)
            original(self, *args, **kwargs)
            if row.rank:
                told(row.role, _read(self, row.rank), _read(self, row.world_size))

        cls.__init__ = init  # type: ignore[misc]
        self._done.append((cls, original, init))  # type: ignore[arg-type]


def _read(instance: Any, path: str) -> Any:
    for name in path.split("."):
        instance = getattr(instance, name, None)
    return instance if isinstance(instance, int) else None
