"""What lies where in a bundle, and which libraries it carries. The gate knows the names of the two
folders of libraries, too."""

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
# The command line of this bundle, where autoinstr is not installed: DIR/bin/autoinstr ctl on RUN
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
    """A distribution that goes into a bundle: its name on PyPI, its modules, the folder, and the
    Pythons that need it."""

    name: str
    modules: tuple[str, ...]
    folder: str
    pythons: tuple[tuple[int, int], ...]


_BEFORE_3_11 = tuple(version for version in PYTHONS if version < (3, 11))

LIBRARIES = (
    Library("wrapt", ("wrapt",), "libraries", PYTHONS),
    Library("structlog", ("structlog",), "libraries", PYTHONS),
    Library("tomli", ("tomli",), "libraries-before-3.11", _BEFORE_3_11),
    Library(
        "typing_extensions", ("typing_extensions.py",), "libraries-before-3.11", _BEFORE_3_11
    ),  # structlog asks for it there
)


def dotted(version: tuple[int, int]) -> str:
    """3.9 of (3, 9)."""
    return ".".join(map(str, version))
