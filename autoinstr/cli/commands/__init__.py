"""One file per subcommand of `autoinstr`.

Contents: each file has `add_parser(subparsers)`, which declares the arguments, and `run(args)`,
    which returns the exit status. `cli/subcommands.py` lists the files.
May import: every other folder; slow imports belong in `run`.
Start with: `path.py`, the shortest one.
"""
