"""Find the folder of the gate."""

from __future__ import annotations

import os

import autoinstr
from autoinstr.base.errors import AutoinstrError


def find_gate_folder() -> str:
    """Return the absolute path of the folder that turns the agent on from PYTHONPATH.

    A wheel has it inside the package, a checkout beside the package."""
    package = os.path.dirname(os.path.abspath(autoinstr.__file__))
    for parent in (package, os.path.dirname(package)):
        folder = os.path.join(parent, "sitecustomize")
        if os.path.isfile(os.path.join(folder, "sitecustomize.py")):
            return folder
    raise AutoinstrError(
        f"the sitecustomize folder is missing beside {package!a}: "
        "the installation is incomplete; install autoinstr again"
    )
