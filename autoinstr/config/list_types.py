"""The types of option values that have several items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.config.suggestions import BadValue, find_nearest, join_list, split_list
from autoinstr.config.value_types import ValueType

if TYPE_CHECKING:
    from collections.abc import Sequence


class ListType(ValueType):
    """Comma-separated texts.

    `words` are the valid items, if only these are valid. `alone` are items that must be the only
    one."""

    is_list = True
    has_commas = True

    def __init__(self, values: str, words: Sequence[str] = (), alone: Sequence[str] = ()) -> None:
        self.values = values
        self.words = words
        self.alone = alone

    def parse(self, text: str) -> Any:
        items = split_list(text)
        if not items:
            raise BadValue("must not be empty")
        if self.words:
            items = [item.lower() for item in items]
        for item in items:
            if item.endswith("\\"):
                raise BadValue(f"{item!a} ends in a backslash", item.rstrip("\\"))
            if self.words and item not in self.words:
                raise BadValue(
                    f"{item!a} is not one of {', '.join(self.words)}",
                    find_nearest(item, self.words),
                )
            if item in self.alone and len(items) > 1:
                raise BadValue(f"{item!a} must stand alone", item)
        return tuple(dict.fromkeys(items))

    def dump(self, value: Any) -> str:
        return join_list(value)

    def from_toml(self, value: Any) -> str:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return join_list(value)
        if isinstance(value, str):
            return value
        raise BadValue("must be a TOML string or an array of strings")


class PairsType(ValueType):
    """`key=value;key=value` as a dict of texts."""

    values = "key=value;key=value"
    has_commas = True

    def parse(self, text: str) -> Any:
        pairs = {}
        for item in text.split(";"):
            key, equals, value = (part.strip() for part in item.partition("="))
            if not item.strip():
                continue
            if not equals or not key.isidentifier():
                raise BadValue(f"{item.strip()!a} is not key=value")
            if "=" in value:  # probably two pairs with a comma between them
                raise BadValue(
                    f"{item.strip()!a} holds two pairs; separate them with a semicolon",
                    text.replace(",", ";"),
                )
            pairs[key] = value
        if not pairs:
            raise BadValue("must not be empty")
        return pairs

    def dump(self, value: Any) -> str:
        return ";".join(f"{key}={item}" for key, item in value.items())

    def from_toml(self, value: Any) -> str:
        if isinstance(value, dict):
            texts = {
                key: join_list(item)
                if isinstance(item, list)
                else super(PairsType, self).from_toml(item)
                for key, item in value.items()
            }
            for key, text in texts.items():
                if ";" in text:
                    raise BadValue(f"the value of {key!a} must not hold a semicolon")
            return self.dump(texts)
        if isinstance(value, str):
            return value
        raise BadValue("must be a TOML table or string")
