"""One file for each subcommand of `autoinstr`.

Contents: each file has `add_parser(subparsers)`, which declares arguments, and `run(args)`, which
    returns the exit status.
May import: every other folder; slow imports belong in `run`.
Start with: `path.py`, the shortest one.
"""
