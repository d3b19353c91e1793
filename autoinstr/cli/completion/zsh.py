"""Write the completion script for zsh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.cli.completion.tables import DIRECTORY, FILE, WORD_LIST, WORDS

if TYPE_CHECKING:
    from autoinstr.cli.completion.tables import (
        ArgumentRow,
        CommandTables,
        OptionRow,
        SubcommandTable,
        Values,
    )

HEADER = """\
#compdef autoinstr
# zsh completion for autoinstr, written by `autoinstr completion zsh`

_autoinstr() {
    local -a subcommands
    subcommands=("""

MIDDLE = """\
    )
    if ((CURRENT == 2)); then
        if [[ $words[2] == -* ]]; then
            _arguments"""

FOOTER = """\
    esac
}

if [[ $funcstack[1] == _autoinstr ]]; then
    _autoinstr "$@"
else
    compdef _autoinstr autoinstr
fi
"""


def write_script(tables: CommandTables) -> str:
    """Return the script.

    It works as a file of the name `_autoinstr` on fpath, and with `source` after compinit."""
    lines = [HEADER]
    for subcommand in tables.subcommands:
        lines.append(f"        {_quote(f'{subcommand.name}:{_escape(subcommand.summary)}')}")
    lines.append(MIDDLE + " " + " ".join(_write_option(row) for row in tables.options))
    lines += [
        "        else",
        "            _describe -t subcommands subcommand subcommands",
        "        fi",
        "        return",
        "    fi",
        "    local subcommand=$words[2]",
        "    shift words",
        "    ((CURRENT -= 1))",
        "    case $subcommand in",
    ]
    for subcommand in tables.subcommands:
        lines += _write_subcommand(subcommand)
    return "\n".join([*lines, FOOTER])


def _write_subcommand(subcommand: SubcommandTable) -> list[str]:
    specs = [_write_option(row) for row in subcommand.options]
    if subcommand.takes_command:
        specs.append(_quote("(-)*:: :_normal"))
    specs += [
        _write_argument(number, row) for number, row in enumerate(subcommand.arguments, start=1)
    ]
    return [
        f"        {subcommand.name})",
        "            _arguments \\",
        *(f"                {spec} \\" for spec in specs[:-1]),
        f"                {specs[-1]}",
        "            ;;",
    ]


def _write_option(row: OptionRow) -> str:
    """Return the specifications of an option for _arguments, one for each of its names."""
    summary = f"[{_escape(row.summary)}]"
    action = "" if row.values is None else f":{row.metavar}:{_write_action(row.values)}"
    exclusions = f"({' '.join(row.names)})" if len(row.names) > 1 else ""
    prefix = "*" if row.repeats else exclusions
    specs = []
    for name in row.names:
        suffix = "=" if row.values is not None and name.startswith("--") else ""
        specs.append(_quote(f"{prefix}{name}{suffix}{summary}{action}"))
    return " ".join(specs)


def _write_argument(number: int, row: ArgumentRow) -> str:
    position = "*" if row.repeats else str(number)
    return _quote(f"{position}:{_escape(row.metavar)}:{_write_action(row.values)}")


def _write_action(values: Values) -> str:
    if values.kind == WORDS:
        return f"({' '.join(map(_escape, values.words))})"
    if values.kind == WORD_LIST:
        return f"_sequence compadd - {' '.join(values.words)}"
    return {FILE: "_files", DIRECTORY: "_files -/"}.get(values.kind, "")


def _escape(text: str) -> str:
    """Escape the characters that separate the parts of a specification."""
    for character in "\\:[]":
        text = text.replace(character, f"\\{character}")
    return text


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
