"""Stands in for verl, which has hundreds of dependencies: the classes of the test's loop have the
names that verl 0.9.1 has. `make compat` finds those names in the real releases."""

__version__ = "0.9.1"
