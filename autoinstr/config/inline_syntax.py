r"""The grammar of the value of -X autoinstr and AUTOINSTR.

`1`, `on`, `yes`, `true` and a bare -X are plain on; what ends in `.toml` and has no `=` is a file; else pieces are split at commas, and a
piece that does not start with `<option>=` continues the value before it; `\,` is a literal comma.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import ConfigError
from autoinstr.config.options import BY_NAME, OPTIONS
from autoinstr.config.suggestions import nearest
from autoinstr.config.value_types import OFF_WORDS, ON_WORDS

if TYPE_CHECKING:
    Texts = dict[str, tuple[str, str]]  # option name -> (text, source)


def is_off(value: str) -> bool:
    """Whether a value means off: an off word, alone or as the first piece, as the gate reads it."""
    return value.split(",", 1)[0].strip().lower() in ("", *OFF_WORDS)


def _pieces(text: str) -> list[str]:
    r"""Split at commas that no backslash precedes, keeping `\,` as it is: an option that is a list splits once more."""
    pieces: list[str] = []
    for part in text.split(","):
        if pieces and pieces[-1].endswith("\\"):
            pieces[-1] += "," + part
        else:
            pieces.append(part)
    return pieces


def read_value(value: str, source: str, warnings: list[str]) -> Texts:
    """The options of a value as name -> (text, source). Raises ConfigError; adds to `warnings` what
    was probably meant otherwise."""
    text = value.strip()
    if text.lower() in ON_WORDS or is_off(text):
        return {}
    if text.endswith(".toml") and "=" not in text:
        return {"config": (text.replace("\\,", ","), source)}
    found: dict[str, str] = {}
    name = ""
    for piece in _pieces(text):
        key, equals, rest = (part.strip() for part in piece.partition("="))
        if equals and key in BY_NAME:
            repeated = key in found and BY_NAME[key].kind.is_list
            found[key] = f"{found[key]},{rest}" if repeated else rest
            name = key
        elif name and BY_NAME[name].kind.has_commas:
            found[name] += f",{piece}"
            meant = nearest(key, BY_NAME) if equals and key.isidentifier() else None
            if meant:
                warnings.append(
                    f"{piece.strip()!a} in {source} was taken as part of {name}; for an option of its own write {meant}="
                )
        elif key.lower() in ON_WORDS and not found and not equals:
            continue
        else:
            raise _not_an_option(key, rest if equals else None, source)
    plain = {
        key: text if BY_NAME[key].kind.is_list else text.replace("\\,", ",")
        for key, text in found.items()
    }
    return {key: (text, source) for key, text in plain.items()}


def _not_an_option(key: str, rest: str | None, source: str) -> ConfigError:
    near = nearest(key, BY_NAME)
    if rest is not None:
        return ConfigError(
            "there is no such option",
            option=key,
            value=rest,
            source=source,
            suggestion=near and f"{near}={rest}",
        )
    # A lone word is often the value of an option that everybody knows by its values:
    # AUTOINSTR=manual.
    owner = next(
        (option.name for option in OPTIONS if key.lower() in getattr(option.kind, "words", ())),
        None,
    )
    suggestion = f"{owner}={key.lower()}" if owner else near and f"{near}="
    return ConfigError(
        "is not on, off, a .toml file or option=value",
        option="autoinstr",
        value=key,
        source=source,
        suggestion=suggestion,
    )
