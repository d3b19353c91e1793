"""Run the command `autoinstr` for `python -m autoinstr`."""

from __future__ import annotations

import sys

from autoinstr.cli import main

if __name__ == "__main__":
    sys.exit(main())
