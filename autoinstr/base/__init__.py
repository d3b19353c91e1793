"""What every other folder may use: errors, log lines, secrets, names, facts about the process.

Contents: small modules that know nothing of options, recordings or torch.
May import: the standard library only. structlog is imported at the first log line.
Start with: `guard.py` (what happens to an internal error) and `log.py`.
"""
