"""Reads the texts of profiler parameters.

A kind of value is a text that the documentation has for the values. VALUE_READERS maps each kind to
the function that reads one. Values of torch_npu stay words here (`Level1`, `PipeUtilization`). They
become its constants when torch_npu is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.system import make_absolute
from autoinstr.config.suggestions import BadValue, find_nearest
from autoinstr.config.value_types import FlagType

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


def _read_flag(text: str) -> bool:
    return bool(FlagType().parse(text))


def _read_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadValue("must be a whole number, 0 or more")
    return int(text)


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _read_seconds(text: str) -> float:
    seconds = _read_number(text)
    if not 0 < seconds < float("inf"):
        raise BadValue("must be a number of seconds above 0")
    return seconds


def _read_milliseconds(text: str) -> float | None:
    if text.lower() in ("off", "none"):
        return None
    milliseconds = _read_number(text)
    if not 0 <= milliseconds < float("inf"):
        raise BadValue("must be a number of milliseconds, 0 or more, or off")
    return milliseconds


def _split_words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise BadValue("must not be empty")
    return words


def _choose_word(word: str, words: Sequence[str], aliases: Sequence[str] = ()) -> str:
    by_lower = {valid.lower(): valid for valid in words} | dict(zip(aliases, words))
    if word.lower() not in by_lower:
        raise BadValue(f"{word!a} is not one of {', '.join(words)}", find_nearest(word, words))
    return by_lower[word.lower()]


def _make_word_list_reader(words: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        chosen_words = _split_words(text)
        try:
            return list(dict.fromkeys(_choose_word(word, words) for word in chosen_words))
        except BadValue as bad:
            valid_words = [
                word for word in chosen_words if word.lower() in {valid.lower() for valid in words}
            ]
            raise BadValue(
                bad.problem, bad.suggestion and ",".join([*valid_words, bad.suggestion])
            ) from None

    return read


def _read_level(text: str) -> str:
    return _choose_word(text, LEVELS, ("0", "1", "2", "none"))


def _read_aic_metrics(text: str) -> str:
    return _choose_word(text, AIC_METRICS, ("none",))


def _read_schedule(text: str) -> dict[str, int]:
    """Read `wait:1,warmup:1,active:3,repeat:0`. A missing number is 0, but active must be there."""
    numbers = {"wait": 0, "warmup": 0}
    for word in _split_words(text):
        name, colon, number = (part.strip() for part in word.partition(":"))
        if name not in SCHEDULE or not colon:
            near = find_nearest(name, SCHEDULE)
            raise BadValue(
                f"{word!a} is not one of {', '.join(SCHEDULE)} with a colon and a number",
                near and f"{near}:{number or 1}",
            )
        numbers[name] = _read_count(number)
    if not numbers.get("active"):
        raise BadValue("must say how many steps are active, at least 1", f"{text},active:1")
    return numbers


def _read_folder(text: str) -> str:
    if not text or "\0" in text:
        raise BadValue("must be a directory")
    return text if "://" in text else make_absolute(text)


def _read_text(text: str) -> str:
    return text


VALUE_READERS: dict[str, Callable[[str], Any]] = {
    "on, off": _read_flag,
    "comma list of " + ", ".join(ACTIVITIES): _make_word_list_reader(ACTIVITIES),
    "wait:N,warmup:N,active:N,repeat:N,skip_first:N": _read_schedule,
    "directory": _read_folder,
    "whole number": _read_count,
    "seconds": _read_seconds,
    "comma list": _split_words,
    "text": _read_text,
    "-": _read_text,
    ", ".join(LEVELS): _read_level,
    ", ".join(AIC_METRICS): _read_aic_metrics,
    "comma list of " + ", ".join(EXPORT_TYPES): _make_word_list_reader(EXPORT_TYPES),
    "comma list of " + ", ".join(HOST_SYS): _make_word_list_reader(HOST_SYS),
    "milliseconds, or off": _read_milliseconds,
}
(
    FLAG,
    ACTIVITY_LIST,
    STEPS,
    FOLDER,
    COUNT,
    SECONDS,
    LIST,
    TEXT,
    NO_VALUE,
    LEVEL,
    AIC,
    EXPORT,
    HOST,
    MILLISECONDS,
) = VALUE_READERS
