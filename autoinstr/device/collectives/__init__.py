"""How long collectives transfer, and how long they wait for the slowest rank.

A collective of the communication library ends on all ranks at about the same time. A rank that
comes early waits inside its kernel. So the shortest kernel of all ranks is the transfer, the rest
of the others is waiting, and the rank with the shortest kernel came last. CANN measures the
transfer itself.

Contents: `matching.py` finds the kernels of one collective on all ranks. `sums.py` adds them up.
May import: `base`.
Start with: `matching.py` (`match_collectives`).
"""
