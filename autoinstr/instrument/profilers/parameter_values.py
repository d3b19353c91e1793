"""How the texts of profiler parameters are read: a kind is what docs/profiler.md says of the
values, and a function that makes one.

What belongs to torch_npu is read into its own words (`Level1`, `PipeUtilization`): they become its
constants when it is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.config.suggestions import BadValue, nearest
from autoinstr.config.value_types import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ACTIVITIES = ("cpu", "cuda", "xpu", "npu", "mtia", "hpu")  # npu is torch's PrivateUse1
SCHEDULE = ("wait", "warmup", "active", "repeat", "skip_first", "skip_first_wait")
LEVELS = ("Level0", "Level1", "Level2", "Level_none")
AIC_METRICS = (
    "AiCoreNone",
    "PipeUtilization",
    "ArithmeticUtilization",
    "Memory",
    "MemoryL0",
    "MemoryUB",
    "ResourceConflictRatio",
    "L2Cache",
    "MemoryAccess",
)
EXPORT_TYPES = ("text", "db")
HOST_SYS = ("cpu", "mem", "disk", "network", "osrt", "numa")


def _flag(text: str) -> bool:
    return bool(Flag().parse(text))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadValue("must be a whole number, 0 or more")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _seconds(text: str) -> float:
    seconds = _number(text)
    if not 0 < seconds < float("inf"):
        raise BadValue("must be a number of seconds above 0")
    return seconds


def _milliseconds(text: str) -> float | None:
    if text.lower() in ("off", "none"):
        return None
    milliseconds = _number(text)
    if not 0 <= milliseconds < float("inf"):
        raise BadValue("must be a number of milliseconds, 0 or more, or off")
    return milliseconds


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise BadValue("must not be empty")
    return words


def _one_of(word: str, words: Sequence[str], also: Sequence[str] = ()) -> str:
    by_lower = {known.lower(): known for known in words} | dict(zip(also, words))
    if word.lower() not in by_lower:
        raise BadValue(f"{word!a} is not one of {', '.join(words)}", nearest(word, words))
    return by_lower[word.lower()]


def _some_of(words: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        given = _words(text)
        try:
            return list(dict.fromkeys(_one_of(word, words) for word in given))
        except BadValue as bad:
            right = [word for word in given if word.lower() in {known.lower() for known in words}]
            raise BadValue(bad.problem, bad.near and ",".join([*right, bad.near])) from None

    return read


def _level(text: str) -> str:
    return _one_of(text, LEVELS, ("0", "1", "2", "none"))


def _aic_metrics(text: str) -> str:
    return _one_of(text, AIC_METRICS, ("none",))


def _schedule(text: str) -> dict[str, int]:
    """`wait:1,warmup:1,active:3,repeat:0`; what is left out is 0, but active must be there."""
    numbers = {"wait": 0, "warmup": 0}
    for word in _words(text):
        name, colon, number = (part.strip() for part in word.partition(":"))
        if name not in SCHEDULE or not colon:
            near = nearest(name, SCHEDULE)
            raise BadValue(
                f"{word!a} is not one of {', '.join(SCHEDULE)} with a colon and a number",
                near and f"{near}:{number or 1}",
            )
        numbers[name] = _whole(number)
    if not numbers.get("active"):
        raise BadValue("must say how many steps are active, at least 1", f"{text},active:1")
    return numbers


def _folder(text: str) -> str:
    if not text or "\0" in text:
        raise BadValue("must be a directory")
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def _any(text: str) -> str:
    return text


KINDS: dict[str, Callable[[str], Any]] = {
    "on, off": _flag,
    "comma list of " + ", ".join(ACTIVITIES): _some_of(ACTIVITIES),
    "wait:N,warmup:N,active:N,repeat:N,skip_first:N": _schedule,
    "directory": _folder,
    "whole number": _whole,
    "seconds": _seconds,
    "comma list": _words,
    "text": _any,
    "-": _any,
    ", ".join(LEVELS): _level,
    ", ".join(AIC_METRICS): _aic_metrics,
    "comma list of " + ", ".join(EXPORT_TYPES): _some_of(EXPORT_TYPES),
    "comma list of " + ", ".join(HOST_SYS): _some_of(HOST_SYS),
    "milliseconds, or off": _milliseconds,
}
(
    FLAG,
    ACTIVITY_LIST,
    STEPS,
    FOLDER,
    WHOLE,
    SECONDS,
    LIST,
    TEXT,
    NONE,
    LEVEL,
    AIC,
    EXPORT,
    HOST,
    MILLISECONDS,
) = KINDS
