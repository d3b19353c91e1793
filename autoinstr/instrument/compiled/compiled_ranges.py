"""Ranges inside compiled code, connected to torch and to the session."""

from __future__ import annotations

from autoinstr.instrument.compiled.function_weaver import FunctionWeaver
from autoinstr.instrument.compiled.torch_compiler import TorchCompiler


class CompiledRanges(FunctionWeaver):
    """The ranges in compiled code of this process. Nothing is wrapped before `connect`."""

    def connect(self, is_wanted: bool) -> None:
        """Wrap torch's functions when it imports them. `is_wanted`: the option asks for ranges."""
        if not is_wanted:
            self.reason = "off: compiled=off"
            return
        TorchCompiler(self).connect()
