"""The layout of a bundle, and the libraries in it.

The gate (sitecustomize/) contains the names of the two folders of libraries too."""

from __future__ import annotations

from typing import NamedTuple

MANIFEST = "manifest.json"
SCHEMA = "autoinstr.bundle/1"
PACKAGE = "autoinstr"
GATE = "sitecustomize"
LICENSES = "licenses"
COMMAND = "bin/autoinstr"
CACHE = "__pycache__"
PYTHONS = ((3, 9), (3, 10), (3, 11), (3, 12), (3, 13), (3, 14))

FILE_MODE = 0o644
PROGRAM_MODE = FOLDER_MODE = 0o755

COMMAND_TEXT = """\
#!/usr/bin/env python3
# The command line of this bundle, for use without an installation: DIR/bin/autoinstr ctl on RUN
import os
import sys

bundle = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, bundle)
libraries = ["libraries"] if sys.version_info >= (3, 11) else ["libraries", "libraries-before-3.11"]
sys.path += [os.path.join(bundle, name) for name in libraries]

from autoinstr.cli import main

sys.exit(main())
"""


class Library(NamedTuple):
    """A distribution in a bundle: its name on PyPI, its modules, its folder, and the Python
    versions that need it."""

    name: str
    modules: tuple[str, ...]
    folder: str
    pythons: tuple[tuple[int, int], ...]


_BEFORE_3_11 = tuple(version for version in PYTHONS if version < (3, 11))

LIBRARIES = (
    Library("wrapt", ("wrapt",), "libraries", PYTHONS),
    Library("structlog", ("structlog",), "libraries", PYTHONS),
    Library("tomli", ("tomli",), "libraries-before-3.11", _BEFORE_3_11),
    # structlog imports it before Python 3.11
    Library("typing_extensions", ("typing_extensions.py",), "libraries-before-3.11", _BEFORE_3_11),
)


def format_version(version: tuple[int, int]) -> str:
    """Return "3.9" for (3, 9)."""
    return ".".join(map(str, version))
