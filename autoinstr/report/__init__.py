"""Everything derived from a recording after the run. See docs/reports.md."""
