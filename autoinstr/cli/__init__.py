"""The command line: `autoinstr <subcommand> …`.

Contents: `commands/` has one file a subcommand, `doctor/` what `autoinstr doctor` examines.
May import: everything below; nothing imports it.
Start with: `entry.py` (`main` picks the subcommand, prints errors and chooses the exit status).
"""

from autoinstr.cli.entry import main as main
