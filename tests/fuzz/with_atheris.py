"""`python -m tests.fuzz.with_atheris ENTRY [libFuzzer's options and folders]`: looks for inputs that fail, guided by coverage."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["autoinstr"]):
    from tests.fuzz.entries import check


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: check(name, data))
    atheris.Fuzz()


main()
