"""The agent in one process: it starts after `import torch` and owns everything that is switched on.

Contents: bootstrap, the session, active emitters, the recording file, `autoinstr ctl`, the message
    of an empty run.
May import: `instrument`, `targets`, `emitters`, `recording`, `config`, `api`, `base`; never
    analysis, report or cli.
Start with: `bootstrap.py` (`activate` is called by the import hook), then `session.py`.
"""
