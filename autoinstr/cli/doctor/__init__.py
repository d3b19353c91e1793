"""The checks of `autoinstr doctor`: this interpreter, or each process of a command.

Contents: facts about the gate, the options, the targets and the profiler parameters, ready for
    JSON, and their lines of text.
May import: the runtime, the files of `cli/` (not `cli/commands/`).
Start with: `interpreter.py` (this interpreter) or `processes.py` (`autoinstr doctor -- command`).
"""
