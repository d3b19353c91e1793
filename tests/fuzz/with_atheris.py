"""`python -m tests.fuzz.with_atheris ENTRY [libFuzzer's options and folders]`: looks for inputs
that fail, guided by coverage."""

from __future__ import annotations

import sys

import atheris

# atheris 2.3.0 rewrites the loop in redact_text so that CPython 3.11 crashes in it; without atheris
# the same input is fine.
with atheris.instrument_imports(include=["autoinstr"], exclude=["autoinstr.base.redaction"]):
    from tests.fuzz.entries import check


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: check(name, data))
    atheris.Fuzz()


main()
