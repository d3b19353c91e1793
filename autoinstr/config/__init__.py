"""Options: their table, the values they take, where a value came from, and the module filter.

Contents: `options.py` is the table; `config.py` reads the environment, `-X autoinstr` and TOML
    files.
May import: `base`.
Start with: `options.py`; an option is one row there.
"""
