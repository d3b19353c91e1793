"""`--format parquet`: the ranges, modules, steps and requests of a run as Parquet files.

Contents: `schemas.py` (the columns of each table), `table_file.py` (one file, written in row
    groups), `ranges.py` (the ranges of a recording), `export.py` (all tables of a run).
May import: what `report` may; pyarrow (the extra `parquet`), in `table_file.py` and `ranges.py`.
Start with: `export.py`.
"""
