"""Ranges inside compiled code, connected to torch and to the session."""

from __future__ import annotations

import os
import sys
from typing import Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument.compiled.function_weaver import FunctionWeaver
from autoinstr.instrument.compiled.torch_compiler import TorchCompiler


class CompiledRanges(FunctionWeaver):
    """The ranges in compiled code of this process. Nothing is wrapped before `connect`."""

    def connect(self, wanted: str) -> None:
        """Wrap torch's functions when it imports them. `wanted` is the value of the option."""
        if wanted == "off":
            self.reason = "off: compiled=off"
            return
        if wanted == "again":
            _leave_caches()
        TorchCompiler(self).connect()


@contain_errors("leaving the caches of compiled code")
def _leave_caches() -> None:
    """Let torch and vLLM compile anew; their caches are neither read nor written."""
    config: Any = sys.modules.get("torch.compiler.config")
    if config is not None:
        config.force_disable_caches = True
    os.environ["VLLM_DISABLE_COMPILE_CACHE"] = "1"
