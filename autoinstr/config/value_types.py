"""The types of option values: each parses a text to a value, and dumps a value to a text.

`parse` raises BadValue without the option's name and source; `config/config.py` adds them. This
file is imported in the user's process right after torch, so it imports nothing that is not loaded
in every interpreter."""

from __future__ import annotations

from typing import Any

from autoinstr.base.system import make_absolute
from autoinstr.config.suggestions import BadValue, find_nearest

ON_WORDS = ("on", "1", "yes", "true")
OFF_WORDS = ("off", "0", "no", "false")


class ValueType:
    """A type of option values.

    `values` describes the valid texts in the documentation. With `is_list`, repeated texts add up
    instead of replacing each other. `has_commas` says that a valid text may have a comma."""

    values = "text"
    is_list = False
    has_commas = False

    def parse(self, text: str) -> Any:
        """Return the value of a text. Raises BadValue."""
        raise NotImplementedError

    def dump(self, value: Any) -> str:
        """Return a text that parses to `value`."""
        return str(value)

    def from_toml(self, value: Any) -> str:
        """Return the text for a TOML value. Raises BadValue for a TOML type that is not valid."""
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, (str, int)):
            return str(value)
        raise BadValue(f"a TOML {type(value).__name__} cannot be {self.values}")


class TextType(ValueType):
    """Printable text that is not empty."""

    has_commas = True

    def parse(self, text: str) -> Any:
        if not text.strip():
            raise BadValue("must not be empty")
        if not text.isprintable():
            raise BadValue("must not hold control characters")
        return text.strip()


class PathType(ValueType):
    """A path. `~` is the home directory; a relative path starts at the working directory."""

    values = "path"
    has_commas = True

    def parse(self, text: str) -> Any:
        if not text.strip() or "\0" in text:
            raise BadValue("must be a path")
        try:
            return make_absolute(text)
        except OSError:
            raise BadValue(
                "is relative, and the working directory no longer exists; write an absolute path"
            ) from None


class ChoiceType(ValueType):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.values = ", ".join(words)

    def parse(self, text: str) -> Any:
        word = text.strip().lower()
        if word not in self.words:
            raise BadValue(f"must be one of {self.values}", find_nearest(word, self.words))
        return word


class FlagType(ValueType):
    """On or off."""

    values = "on, off"

    def parse(self, text: str) -> Any:
        word = text.strip().lower()
        if word in ON_WORDS:
            return True
        if word in OFF_WORDS:
            return False
        raise BadValue(
            "must be on or off", find_nearest(word, ("on", "off", "true", "false", "yes", "no"))
        )

    def dump(self, value: Any) -> str:
        return "on" if value else "off"


class MegabytesType(ValueType):
    """A whole number of megabytes, at least 1."""

    values = "whole number of MB (2^20 bytes), at least 1"

    def parse(self, text: str) -> Any:
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:12]) <= 1 << 30):
            number = digits.lower().rstrip("mibo ")
            raise BadValue(
                "must be a whole number of MB, at least 1",
                number if number != digits and number.isdigit() else None,
            )
        return int(digits)


class ModeType(ValueType):
    """The permission bits of a file, in octal. The owner can always read and write it."""

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
        # TOML's 600 and 0o600 are both integers, and the wrong guess would open a file to others.
        if not isinstance(value, str):
            raise BadValue("must be a TOML string", '"0600"')
        return value


class AddressType(ValueType):
    """`host:port`, or a port of loopback, as (host, port)."""

    values = "host:port, or a port"

    def parse(self, text: str) -> Any:
        host, colon, digits = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
        is_port = digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) < 1 << 16
        if not host or not is_port or not host.isprintable() or " " in host:
            raise BadValue("must be host:port or a port", "127.0.0.1:9464")
        return (host, int(digits))

    def dump(self, value: Any) -> str:
        host, port = value
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class WindowType(ValueType):
    """`skip:count` in steps as (skip, count).

    The value of `skip:` has count None (until the end), and the value of `all` is None."""

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
