# The file that autoinstr.pth imports where autoinstr was asked for. It runs the gate, which is
# within the package in a wheel and beside it in a checkout. sys.path is not complete yet, and in a
# virtual environment the .pth may be read twice. No `from __future__`: it costs an import.
import os
import sys


def boot() -> bool:
    """Run the gate; return whether autoinstr is on. It is safe to call again."""
    package = os.path.dirname(os.path.abspath(__file__))
    for folder in (
        os.path.join(package, "sitecustomize"),
        os.path.join(os.path.dirname(package), "sitecustomize"),
    ):
        if os.path.isfile(os.path.join(folder, "_autoinstr_gate.py")):
            sys.path.insert(0, folder)
            try:
                import _autoinstr_gate
            finally:
                sys.path.remove(folder)
            return bool(_autoinstr_gate.boot(folder))
    return False


boot()
