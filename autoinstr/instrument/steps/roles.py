"""Reports the roles that the process gets from the classes that it instantiates."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument import importhook
from autoinstr.instrument.steps.role_classes import ROLE_CLASSES, RoleClass

if TYPE_CHECKING:
    from types import ModuleType


_FACTS = ("dp_rank", "dp_size")


class RolePatches:
    """Wraps `__init__` of each class in the table once its module is imported."""

    def __init__(
        self,
        report_role: Callable[[str, Any, Any], None],
        report_facts: Callable[[dict[str, int]], None],
    ) -> None:
        """`report_role(role, rank, world_size)` is called for each instance, and never raises.

        It is called before `__init__` with None for both numbers. If the row names them, it is
        called again after `__init__`. `report_facts` then gets the other numbers of the row."""
        self._report_role = report_role
        self._report_facts = report_facts
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
        report_role, report_facts = self._report_role, self._report_facts

        @functools.wraps(original)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            report_role(row.role, None, None)
            original(self, *args, **kwargs)
            if row.rank:
                report_role(
                    row.role, _read_number(self, row.rank), _read_number(self, row.world_size)
                )
            if row.dp_rank:
                numbers = {key: _read_number(self, getattr(row, key)) for key in _FACTS}
                report_facts({key: number for key, number in numbers.items() if number is not None})

        cls.__init__ = init  # type: ignore[misc]
        self._wrappers.append(init)


def _read_number(instance: Any, paths: str) -> int | None:
    """Return the number at the first of these paths that has one. Never raises an Exception."""
    for path in paths.split():
        value = instance
        for name in path.split("."):
            try:
                value = getattr(value, name, None)
            except Exception:  # a property of the program
                value = None
        if isinstance(value, int):
            return value
    return None
