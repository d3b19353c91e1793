"""Reports the roles that the process gets from the classes that it instantiates."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument import importhook
from autoinstr.instrument.steps.role_classes import ROLE_CLASSES, RoleClass

if TYPE_CHECKING:
    from types import ModuleType


class RolePatches:
    """Wraps `__init__` of each class in the table once its module is imported."""

    def __init__(self, report_role: Callable[[str, Any, Any], None]) -> None:
        """`report_role(role, rank, world_size)` is called for each instance, and never raises.

        It is called before `__init__` with None for both numbers. If the row names them, it is
        called again after `__init__`."""
        self._report_role = report_role
        self._wrappers: list[Any] = []

    def apply(self) -> None:
        """Register every row with the import hook."""
        for row in ROLE_CLASSES:
            importhook.register(row.module, functools.partial(self._wrap, row))

    def _wrap(self, row: RoleClass, module: ModuleType) -> None:
        cls = getattr(module, row.cls, None)
        original = cls.__dict__.get("__init__") if isinstance(cls, type) else None
        if original is None or any(original is wrapper for wrapper in self._wrappers):
            return
        report_role = self._report_role

        @functools.wraps(original)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            report_role(row.role, None, None)
            original(self, *args, **kwargs)
            if row.rank:
                report_role(
                    row.role, _read_number(self, row.rank), _read_number(self, row.world_size)
                )

        cls.__init__ = init  # type: ignore[misc]
        self._wrappers.append(init)


def _read_number(instance: Any, path: str) -> int | None:
    for name in path.split("."):
        instance = getattr(instance, name, None)
    return instance if isinstance(instance, int) else None
