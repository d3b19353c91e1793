"""The command line: `autoinstr <subcommand> …`.

Contents: `commands/` has one file per subcommand; `doctor/` has the checks of `autoinstr doctor`.
    The files here are what several subcommands share.
May import: every folder below. Nothing imports it.
Start with: `entry.py` (`main` runs a subcommand, prints errors and chooses the exit status).
"""

from autoinstr.cli.entry import main as main
