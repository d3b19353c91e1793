"""Write the completion script for bash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.cli.completion.tables import WORD_LIST, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.cli.completion.tables import CommandTables, SubcommandTable, Values

# The three functions at the top of the script set `reply`, a variable of `_autoinstr`: bash
# functions see the local variables of their caller. This avoids a subshell for each lookup.
FUNCTIONS = r"""
_autoinstr() {
    local -a line=()
    local word reply glue=0 i
    COMPREPLY=()
    # bash splits words at "=" and ":"; join them again
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#line[@]} > 0)) && { ((glue)) || [[ $word == [=:]* ]]; }; then
            line[${#line[@]} - 1]+=$word
        else
            line+=("$word")
        fi
        glue=0
        [[ $word == *[=:] ]] && glue=1
    done
    local current=""
    ((${#line[@]} > 0)) && current=${line[${#line[@]} - 1]}

    # what the words before the current one are
    local subcommand="" option="" position=0 command=-1
    for ((i = 0; i < ${#line[@]} - 1; i++)); do
        word=${line[i]}
        if [[ -n $option ]]; then
            option=""
        elif [[ -z $subcommand ]]; then
            [[ $word != -* ]] && subcommand=$word
        elif [[ $word == -- ]]; then
            _autoinstr_takes_command "$subcommand" && command=$((i + 1)) && break
        elif [[ $word == -* ]]; then
            [[ $word != *=* ]] && _autoinstr_values "$subcommand $word" && option=$word
        elif _autoinstr_takes_command "$subcommand"; then
            command=$i
            break
        else
            ((position += 1))
        fi
    done

    local value=$current
    reply=""
    if ((command >= 0)); then
        reply=file
        ((command == ${#line[@]} - 1)) && reply=command
    elif [[ -n $option ]]; then
        _autoinstr_values "$subcommand $option"
    elif [[ $current == --*=* ]]; then
        value=${current#*=}
        _autoinstr_values "$subcommand ${current%%=*}"
    elif [[ $current == -* || -z $subcommand ]]; then
        _autoinstr_options "$subcommand"
    elif _autoinstr_takes_command "$subcommand"; then
        reply=command
    else
        _autoinstr_argument "$subcommand" "$position"
    fi

    local head=""
    case $reply in
        words\ *) mapfile -t COMPREPLY < <(compgen -W "${reply#* }" -- "$value") ;;
        list\ *)
            [[ $value == *,* ]] && head=${value%,*},
            mapfile -t COMPREPLY < <(compgen -W "${reply#* }" -- "${value##*,}")
            ;;
        directory)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$value")
            ;;
        file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$value")
            ;;
        command) mapfile -t COMPREPLY < <(compgen -c -- "$value") ;;
    esac

    # readline replaces only what follows the last "=" or ":" of the current word
    local tail=${COMP_WORDS[COMP_CWORD]}
    [[ $tail == [=:] ]] && tail=""
    local start=${current%"$tail"} full
    for i in "${!COMPREPLY[@]}"; do
        full=${current%"$value"}$head${COMPREPLY[i]}
        COMPREPLY[i]=${full#"$start"}
    done
}

complete -F _autoinstr autoinstr
"""


def write_script(tables: CommandTables) -> str:
    """Return the script."""
    names = [subcommand.name for subcommand in tables.subcommands]
    top_options = [name for row in tables.options for name in row.names]
    option_rows = [
        _write_case(
            f'"{subcommand.name}"', [name for row in subcommand.options for name in row.names]
        )
        for subcommand in tables.subcommands
    ]
    option_rows.append(_write_case("*", [*names, *top_options]))
    value_rows = [row for subcommand in tables.subcommands for row in _write_values(subcommand)]
    argument_rows = [
        row for subcommand in tables.subcommands for row in _write_arguments(subcommand)
    ]
    command_names = "|".join(
        subcommand.name for subcommand in tables.subcommands if subcommand.takes_command
    )
    return "\n".join(
        [
            "# bash completion for autoinstr, written by `autoinstr completion bash`",
            "",
            *_write_function("_autoinstr_options", "$1", option_rows),
            *_write_function("_autoinstr_values", "$1", [*value_rows, "*) return 1 ;;"]),
            *_write_function("_autoinstr_argument", "$1 $2", argument_rows),
            "_autoinstr_takes_command() {",
            f"    [[ $1 == @({command_names}) ]]",
            "}",
            FUNCTIONS,
        ]
    )


def _write_function(name: str, subject: str, rows: Iterable[str]) -> list[str]:
    return [
        f"{name}() {{",
        f'    case "{subject}" in',
        *(f"        {row}" for row in rows),
        "    esac",
        "}",
        "",
    ]


def _write_case(pattern: str, words: Iterable[str]) -> str:
    return f'{pattern}) reply="words {" ".join(words)}" ;;'


def _write_values(subcommand: SubcommandTable) -> list[str]:
    """Return a case for each option that takes a value."""
    return [
        f"{_join_patterns(subcommand.name, row.names)}) {_write_reply(row.values)} ;;"
        for row in subcommand.options
        if row.values is not None
    ]


def _write_arguments(subcommand: SubcommandTable) -> list[str]:
    """Return a case for each positional argument, by its number."""
    rows = []
    for number, row in enumerate(subcommand.arguments):
        pattern = f'"{subcommand.name} "*' if row.repeats else f'"{subcommand.name} {number}"'
        rows.append(f"{pattern}) {_write_reply(row.values)} ;;")
    return rows


def _write_reply(values: Values) -> str:
    is_words = values.kind in (WORDS, WORD_LIST)
    return f'reply="{" ".join([values.kind, *values.words]) if is_words else values.kind}"'


def _join_patterns(subcommand: str, names: Iterable[str]) -> str:
    return " | ".join(f'"{subcommand} {name}"' for name in names)
