"""The output formats of `autoinstr report` and `autoinstr view`.

Contents: `terminal/`, `data/` (JSON, CSV), `timeline/`, `page/` (HTML), `ascend_db/`,
    `ascend_modules/`, `view/`. `writers.py` opens the stream for each format's file, and
    `options.py` has the options of all tables.
May import: `analysis`, `device`, `recording`, `config`, `base`.
Start with: `formats.py`, the registry of formats. The user guide is docs/reference/formats.md.
"""
