"""What `autoinstr doctor` examines: this interpreter, or each process of a command.

Contents: facts about the gate, the options, the targets and the profiler parameters, and their
    lines of text.
May import: the runtime, the analysis of recordings, `cli.commands.run` for the environment of a
    command.
Start with: `interpreter.py` (this interpreter) or `processes.py` (`autoinstr doctor -- command`).
"""
