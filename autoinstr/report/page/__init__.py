"""Self-contained HTML pages: what they show as data, and the files that they are put together from. See docs/reports.md."""
