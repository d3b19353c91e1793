"""Run the command `autoinstr` for `python -m autoinstr`.

Versions of Python that cannot run the command can read this file, so it says why."""

import sys

if __name__ == "__main__":
    if sys.hexversion < 0x03090000:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"autoinstr: needs CPython 3.9 to 3.14; this is {version}")
    from autoinstr.cli import main

    sys.exit(main())
