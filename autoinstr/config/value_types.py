"""What an option's text may look like: one small class a kind, with `parse` (text to value) and
`dump` (value to text that parses to the same).

`parse` raises `BadValue`, which knows nothing of option names or sources: `autoinstr.config.config`
adds them. Imported in the user's process, right after torch: no imports at the top but what every
interpreter has loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.config.suggestions import BadValue, join_list, nearest, split_list

if TYPE_CHECKING:
    from collections.abc import Sequence

ON_WORDS = ("on", "1", "yes", "true")
OFF_WORDS = ("off", "0", "no", "false")


class Kind:
    """A kind of option value.

    `values` is what the documentation says it may be; with `is_list` repeated texts add up instead
    of replacing each other; `has_commas` says that a comma can be part of a valid text.
    """

    values = "text"
    is_list = False
    has_commas = False

    def parse(self, text: str) -> Any:
        """The value of a text; raises BadValue."""
        raise NotImplementedError

    def dump(self, value: Any) -> str:
        """A text that parses to `value`."""
        return str(value)

    def from_toml(self, value: Any) -> str:
        """The text that stands for a TOML value; raises BadValue where TOML's type cannot be
        meant."""
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, (str, int)):
            return str(value)
        raise BadValue(f"a TOML {type(value).__name__} cannot be {self.values}")


class Text(Kind):
    """Any printable text that is not empty."""

    has_commas = True

    def parse(self, text: str) -> Any:
        if not text.strip():
            raise BadValue("must not be empty")
        if not text.isprintable():
            raise BadValue("must not hold control characters")
        return text.strip()


class Path(Kind):
    """A path of the file system; `~` is the home directory, relative means relative to the working
    directory."""

    values = "path"
    has_commas = True

    def parse(self, text: str) -> Any:
        if not text.strip() or "\0" in text:
            raise BadValue("must be a path")
        try:
            return os.path.abspath(os.path.expanduser(text))
        except OSError:
            raise BadValue(
                "is relative, and the working directory no longer exists; write an absolute path"
            ) from None


class Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.values = ", ".join(words)

    def parse(self, text: str) -> Any:
        word = text.strip().lower()
        if word not in self.words:
            raise BadValue(f"must be one of {self.values}", nearest(word, self.words))
        return word


class Flag(Kind):
    """On or off."""

    values = "on, off"

    def parse(self, text: str) -> Any:
        word = text.strip().lower()
        if word in ON_WORDS:
            return True
        if word in OFF_WORDS:
            return False
        raise BadValue(
            "must be on or off", nearest(word, ("on", "off", "true", "false", "yes", "no"))
        )

    def dump(self, value: Any) -> str:
        return "on" if value else "off"


class List(Kind):
    """Comma-separated texts; with `words`, only those, and `alone` names those that stand alone."""

    is_list = True
    has_commas = True

    def __init__(self, values: str, words: Sequence[str] = (), alone: Sequence[str] = ()) -> None:
        self.values = values
        self.words = words
        self.alone = alone

    def parse(self, text: str) -> Any:
        pieces = split_list(text)
        if not pieces:
            raise BadValue("must not be empty")
        if self.words:
            pieces = [piece.lower() for piece in pieces]
        for piece in pieces:
            if piece.endswith("\\"):
                raise BadValue(f"{piece!a} ends in a backslash", piece.rstrip("\\"))
            if self.words and piece not in self.words:
                raise BadValue(
                    f"{piece!a} is not one of {', '.join(self.words)}", nearest(piece, self.words)
                )
            if piece in self.alone and len(pieces) > 1:
                raise BadValue(f"{piece!a} must stand alone", piece)
        return tuple(dict.fromkeys(pieces))

    def dump(self, value: Any) -> str:
        return join_list(value)

    def from_toml(self, value: Any) -> str:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return join_list(value)
        if isinstance(value, str):
            return value
        raise BadValue("must be a TOML string or an array of strings")


class Megabytes(Kind):
    """A whole number of megabytes, at least 1."""

    values = "whole number of MB (2^20 bytes), at least 1"

    def parse(self, text: str) -> Any:
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:12]) <= 1 << 30):
            bare = digits.lower().rstrip("mibo ")
            raise BadValue(
                "must be a whole number of MB, at least 1",
                bare if bare != digits and bare.isdigit() else None,
            )
        return int(digits)


class Mode(Kind):
    """The permission bits of a file, in octal; its owner can always read and write it."""

    values = "octal file mode"

    def parse(self, text: str) -> Any:
        digits = text.strip().lower()
        digits = digits.removeprefix("0o")
        if not 1 <= len(digits) <= 5 or digits.strip("01234567"):
            raise BadValue("must be an octal file mode", "0600")
        mode = int(digits, 8)
        if mode & ~0o777 or mode & 0o600 != 0o600:
            raise BadValue(
                "must let the owner read and write and set nothing but permission bits",
                f"{mode & 0o777 | 0o600:04o}",
            )
        return mode

    def dump(self, value: Any) -> str:
        return f"{value:04o}"

    def from_toml(self, value: Any) -> str:
        # TOML's 600 and 0o600 both arrive as plain integers: which was meant cannot be told, and a
        # guess would open a file to others.
        if not isinstance(value, str):
            raise BadValue("must be a TOML string", '"0600"')
        return value


class Window(Kind):
    """`skip:count` in steps as (skip, count); count None means to the end; `all` is None."""

    values = "all, skip:count, skip:"

    def parse(self, text: str) -> Any:
        word = text.strip().lower()
        if word == "all":
            return None
        skip, colon, count = word.partition(":")
        numbers = [part for part in (skip, count) if part]
        if (
            not colon
            or not skip
            or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in numbers)
        ):
            raise BadValue(
                "must be all or skip:count in steps",
                f"0:{word}" if word.isascii() and word.isdigit() else None,
            )
        if count and int(count) == 0:
            raise BadValue("a count of 0 steps records nothing", f"{skip}:1")
        return (int(skip), int(count) if count else None)

    def dump(self, value: Any) -> str:
        return "all" if value is None else f"{value[0]}:{'' if value[1] is None else value[1]}"


class Pairs(Kind):
    """`key=value;key=value` as a dict of texts."""

    values = "key=value;key=value"
    has_commas = True

    def parse(self, text: str) -> Any:
        pairs = {}
        for piece in text.split(";"):
            key, equals, value = (part.strip() for part in piece.partition("="))
            if not piece.strip():
                continue
            if not equals or not key.isidentifier():
                raise BadValue(f"{piece.strip()!a} is not key=value")
            if "=" in value:  # two pairs joined by a comma would otherwise be one odd value
                raise BadValue(
                    f"{piece.strip()!a} holds two pairs; semicolons part them",
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
            parts = {
                key: join_list(item)
                if isinstance(item, list)
                else super(Pairs, self).from_toml(item)
                for key, item in value.items()
            }
            for key, part in parts.items():
                if ";" in part:
                    raise BadValue(f"the value of {key!a} must not hold a semicolon")
            return self.dump(parts)
        if isinstance(value, str):
            return value
        raise BadValue("must be a TOML table or string")
