"""Give the simulated device its arithmetic.

aclInit runs this once, at the first use of the device. The program imports and patches nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

FILES = ("graphs", "kernels", "operators", "triton_kernels")


def load(folder: Path) -> None:
    """Load the modules without the import system.

    They are in sys.modules only while they need each other, so the program sees what it would see
    on a real machine.
    """
    names = {name: f"cannsim_{name}" for name in FILES}
    for file, name in names.items():
        spec = importlib.util.spec_from_file_location(name, folder / f"{file}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    for name in names.values():
        del sys.modules[name]  # what they have registered holds them


load(Path(__file__).parent)
