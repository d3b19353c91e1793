# What autoinstr.pth imports where autoinstr was asked for: it runs the gate, which lies within the package in a wheel and beside it in a
# checkout. sys.path is not complete yet, and in a virtual environment the .pth may be read twice. No annotations: they cost an import.
import os
import sys

_package = os.path.dirname(os.path.abspath(__file__))
for _folder in (os.path.join(_package, "sitecustomize"), os.path.join(os.path.dirname(_package), "sitecustomize")):
    if os.path.isfile(os.path.join(_folder, "_autoinstr_gate.py")):
        sys.path.insert(0, _folder)
        try:
            import _autoinstr_gate
        finally:
            sys.path.remove(_folder)
        _autoinstr_gate.boot(_folder)
        break
