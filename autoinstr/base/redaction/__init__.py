"""Remove secrets from command lines and texts before they are stored or shown.

A value is secret by its name (`--api-key x`, `HF_TOKEN=x`, `"password": "x"`, `Authorization:
Bearer x`) or by its form (hf_…, sk-…, a URL with a password). In doubt the value is removed: a
user recognises a run by its program and its options. docs/reference/security.md lists what the
rules miss.

Contents: `names.py` rates names, `values.py` finds the end of a value, `texts.py` redacts a text,
    `command_line.py` a command line.
May import: the standard library. The gate loads this folder without the package `autoinstr`, so
    the files import each other by relative imports only.
Start with: `command_line.py`.

A program after `-c` can be long, so each expression and each loop reads a text once. The length of
a match is bounded wherever the search could start again at the next letter.
"""

from __future__ import annotations

from .command_line import redact_argv as redact_argv
from .names import is_secret_name as is_secret_name
from .texts import redact_text as redact_text
from .values import REDACTED as REDACTED
