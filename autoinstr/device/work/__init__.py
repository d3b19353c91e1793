"""How much work operators do, from recorded shapes: FLOPs, bytes of operands; and what memory is
allocated meanwhile.

Contents: `formulas.py` is the table of formulas by operator. `shapes.py` reads the shapes, types
    and constants that a profile recorded, and computes the cost of a call. `sums.py` adds costs up
    by module,
    `memory_sums.py` the allocations. `usage.py` takes the rows of a sweep.
    `captured.py` has the work of captured graphs.
May import: `device/profile_store.py`, `base`.
Start with: `formulas.py` (`FORMULAS`).
"""
