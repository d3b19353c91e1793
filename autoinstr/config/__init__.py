"""Options: their table, the types of their values, the sources of values, and the module filter.

Contents: `options.py` is the table, and `emitter_texts.py` what depends on the emitters;
    `config.py` collects the values from the environment, `-X autoinstr` and TOML files;
    `filters.py` decides which modules get ranges.
May import: `emitters/registry.py`, `base`.
Start with: `options.py`; an option is one row there.
"""
