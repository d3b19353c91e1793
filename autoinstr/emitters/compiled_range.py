"""What is known of a range inside compiled code, for every output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName

COMPILED, SHARED = "compiled", "shared"  # the basis of a range; without one it is `eager`


class CompiledRange(NamedTuple):
    """A range of one module's kernels, or of kernels that several modules share.

    The one module is in `modules` alone. `is_part`: the range continues a call whose first range
    counts as the call. `kernels` are named for shared kernels only."""

    modules: tuple[ModuleName, ...]
    kernels: tuple[str, ...]
    is_part: bool
    is_backward: bool

    @property
    def is_shared(self) -> bool:
        """Whether several modules share the kernels."""
        return bool(self.kernels)

    def make_message(self, format_message: Callable[[ModuleName], str]) -> str:
        """Return the message: the modules as in their own ranges, joined by a plus sign."""
        return " + ".join(map(format_message, self.modules))

    def make_fields(self) -> dict[str, Any]:
        """Return the fields of the name in a recording."""
        entries = [[name.root, name.path, name.cls, name.module] for name in self.modules]
        if self.is_shared:
            return {"basis": SHARED, "members": entries, "kernels": list(self.kernels)}
        fields = dict(zip(("root", "path", "cls", "module"), entries[0]))
        return {**fields, "basis": COMPILED, "part": self.is_part}

    def make_key(
        self, domain: str, format_message: Callable[[ModuleName], str]
    ) -> tuple[str, str, str]:
        """Return kind, domain and message in a recording.

        Rows of modules hold their forward calls alone, so the others have domains of their own."""
        domain += ":backward" * self.is_backward + ":shared" * self.is_shared
        return "range", domain, self.make_message(format_message)


class CompiledNames:
    """The part of the recorder that names ranges inside compiled code."""

    domain: str
    _format_message: Callable[[ModuleName], str]
    _modules: dict[tuple[Any, ...], int]
    _define: Callable[[tuple[str, str, str], dict[str, Any]], int]

    def name_compiled(self, compiled: CompiledRange) -> int:
        """Return the number of a range inside compiled code; 0 if it cannot be recorded."""
        number = self._modules.get(compiled)
        if number is None:
            key = compiled.make_key(self.domain, self._format_message)
            number = self._modules[compiled] = self._define(key, compiled.make_fields())
        return number
