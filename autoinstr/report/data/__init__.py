"""Reports for programs: JSON (`autoinstr.stats/1`) and CSV.

Contents: one file for each format.
May import: `analysis`, `recording`, `base`.
Start with: `stats_json.py`; the CSV rows are those of the JSON report.
"""
