r"""Parse the value of -X autoinstr and AUTOINSTR.

`1`, `on`, `yes`, `true` and a bare -X turn the agent on without options. A value that ends in
`.toml` and has no `=` is a file. Other values are split at commas. A part that does not start with
`<option>=` continues the value before it. `\,` is a literal comma.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import ConfigError
from autoinstr.config.options import BY_NAME, OPTIONS
from autoinstr.config.suggestions import find_nearest
from autoinstr.config.value_types import OFF_WORDS, ON_WORDS

if TYPE_CHECKING:
    Texts = dict[str, tuple[str, str]]  # option name -> (text, source)


def is_off(value: str) -> bool:
    """Return whether a value means off: an off word, alone or as the first part.

    The gate reads it in the same way."""
    return value.split(",", 1)[0].strip().lower() in ("", *OFF_WORDS)


def _split_parts(text: str) -> list[str]:
    r"""Split at each comma without a backslash before it.

    `\,` stays as it is, because an option that is a list splits its value again."""
    parts: list[str] = []
    for part in text.split(","):
        if parts and parts[-1].endswith("\\"):
            parts[-1] += "," + part
        else:
            parts.append(part)
    return parts


def parse_inline(value: str, source: str, warnings: list[str]) -> Texts:
    """Return the options of a value as name -> (text, source). Raises ConfigError.

    A line for each part that is probably a mistake is added to `warnings`."""
    text = value.strip()
    if text.lower() in ON_WORDS or is_off(text):
        return {}
    if text.endswith(".toml") and "=" not in text:
        return {"config": (text.replace("\\,", ","), source)}
    texts: dict[str, str] = {}
    name = ""
    for part in _split_parts(text):
        key, equals, option_text = (word.strip() for word in part.partition("="))
        if equals and key in BY_NAME:
            is_repeated = key in texts and BY_NAME[key].value_type.is_list
            texts[key] = f"{texts[key]},{option_text}" if is_repeated else option_text
            name = key
        elif name and BY_NAME[name].value_type.has_commas:
            texts[name] += f",{part}"
            near = find_nearest(key, BY_NAME) if equals and key.isidentifier() else None
            if near:
                warnings.append(
                    f"{part.strip()!a} in {source} was taken as part of {name};"
                    f" for an option of its own write {near}="
                )
        elif key.lower() in ON_WORDS and not texts and not equals:
            continue
        else:
            raise _make_error(key, option_text if equals else None, source)
    return {
        key: (text if BY_NAME[key].value_type.is_list else text.replace("\\,", ","), source)
        for key, text in texts.items()
    }


def _make_error(key: str, text: str | None, source: str) -> ConfigError:
    """Return the error of a part that is no option. `text` follows its `=`; None without one."""
    near = find_nearest(key, BY_NAME)
    if text is not None:
        return ConfigError(
            "there is no such option",
            option=key,
            value=text,
            source=source,
            suggestion=near and f"{near}={text}",
        )
    # A lone word is often a well-known value: AUTOINSTR=manual.
    owner = next(
        (
            option.name
            for option in OPTIONS
            if key.lower() in getattr(option.value_type, "words", ())
        ),
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
