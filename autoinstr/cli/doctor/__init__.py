"""The checks of `autoinstr doctor`: this interpreter, or each process of a command.

Contents: facts about the gate, the options, the targets and the profiler parameters, ready for
    JSON, and their lines of text. Reasons come from the gate (`decide` in
    sitecustomize/_autoinstr_gate.py), details of a process from `report_to_doctor` in
    agent/session.py.
May import: the runtime, the files of `cli/` (not `cli/commands/`).
Start with: `interpreter.py` (this interpreter) or `processes.py` (`autoinstr doctor -- command`).
"""
