"""How much work operators do: their FLOPs and the bytes of their operands, from recorded shapes.

Contents: `formulas.py` is the table of formulas by operator. `shapes.py` reads the shapes, types
    and constants that a profile recorded, and computes the cost of a call. `sums.py` adds costs up
    by module.
May import: `base`.
Start with: `formulas.py` (`FORMULAS`).
"""
