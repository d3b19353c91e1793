"""The agent in one process: it starts after `import torch` and owns everything that is switched on.

Contents: `bootstrap.py`; `session.py`, which builds the parts; `range_switch.py` and
    `active_emitters.py` (what is on), `profiler_events.py` (when profilers run),
    `recording_file.py`, `identity.py`, `function_targets.py`, `control_file.py` and
    `control_words.py` (`autoinstr ctl`), `window/`, `empty_run.py`.
May import: `instrument`, `targets`, `emitters`, `recording`, `config`, `api`, `base`; never
    analysis, report or cli.
Start with: `bootstrap.py` (the import hook calls `activate`), then `session.py`.
"""
