"""Shell completion: scripts for bash and zsh, made from the parser's own tables.

Contents: `tables.py` reads the parser; each other file writes the script of one shell.
May import: `config`, and the files of `cli/` (not `cli/commands/`).
Start with: `tables.py`.
"""
