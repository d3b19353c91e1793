"""Make an environment for SGLang on a CPU, over the environment that runs the tests.

SGLang's own build for CPUs is not in the index. Its other packages are for GPUs, so this has what a
text model needs. A stand-in takes the place of its kernels: each raises where it is called, and
SGLang computes with torch alone."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.torch_releases import install, make_overlay

# What SGLang imports and the tests' environment may lack.
NEEDED = """
    orjson pybase64 easydict partial_json_parser torch_memory_saver interegular python-multipart
    uvloop ipython traitlets torchvision gguf
"""
KERNELS = """\
import importlib.machinery
import sys

__version__ = "0.4.10"
__path__ = []


class Absent:
    def __init__(self, name):
        self.__name__ = name

    def __call__(self, *args, **kwargs):
        raise NotImplementedError(self.__name__)

    def __getattr__(self, name):
        return get_absent(f"{self.__name__}.{name}")


def get_absent(name):
    if name.rpartition(".")[2].startswith("__"):
        raise AttributeError(name)
    return Absent(name)


class Finder:
    def find_spec(self, name, path=None, target=None):
        is_kernel = name.startswith(__name__ + ".")
        return importlib.machinery.ModuleSpec(name, self) if is_kernel else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__path__ = []
        module.__getattr__ = get_absent


__getattr__ = get_absent
sys.meta_path.append(Finder())
"""
# torchvision's library is built for CUDA and does not load; its Python names these operators.
OPERATORS = """
_schemas = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _schemas.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def make_environment(release: str, folder: Path) -> Path:
    """Return the environment's Python. Raises AssertionError."""
    python, site = make_overlay(folder)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    install([f"sglang=={release}", *NEEDED.split()], version, site, "--no-deps")
    (site / "sgl_kernel").mkdir()
    (site / "sgl_kernel" / "__init__.py").write_text(KERNELS)
    with open(site / "torchvision" / "extension.py", "a") as file:
        file.write(OPERATORS)
    return python
