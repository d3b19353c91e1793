"""Versions of packages, compared as tolerantly as the packages name them; `packaging` is not
imported in a user's process."""

from __future__ import annotations

Key = tuple[tuple[int, ...], int, int]  # release, phase, number of the phase


_PHASES = {
    "dev": -4,
    "a": -3,
    "alpha": -3,
    "b": -2,
    "beta": -2,
    "c": -1,
    "rc": -1,
    "pre": -1,
    "preview": -1,
    "post": 1,
    "rev": 1,
    "r": 1,
}


def parse(text: str) -> Key | None:
    """A key to compare by, or None where the text is no version. What follows `+` is ignored; so is
    a `.dev` after an rc or a post."""
    rest = text.strip().lower().lstrip("v").partition("+")[0].partition("!")
    words = _words(rest[2] or rest[0])
    release: list[int] = []
    while words and words[0].isdigit():
        release.append(int(words.pop(0)))
    if not release:
        return None
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    if not words:
        return tuple(release), 0, 0
    phase = _PHASES.get(words[0])
    if phase is None:
        return None
    number = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return tuple(release), phase, number


def _words(text: str) -> list[str]:
    """Runs of digits and runs of letters; everything else separates."""
    words: list[str] = []
    previous = ""
    for letter in text:
        kind = "0" if letter.isdigit() else "a" if letter.isalpha() else ""
        if kind and kind == previous:
            words[-1] += letter
        elif kind:
            words.append(letter)
        previous = kind
    return words


def is_known(version: str | None) -> bool:
    """The version tells what is in the package. setuptools-scm calls a checkout without tags
    0.1.devN, which tells nothing."""
    key = parse(version or "")
    return key is not None and not (key[0] in ((0,), (0, 1)) and key[1] == _PHASES["dev"])


def within(version: str | None, since: str, before: str) -> bool:
    """`since` <= version < `before`, an empty bound is none. A version that is unknown is within
    all bounds.

    A bound that is a plain release speaks of the code line: 0.11.1rc2 and 0.11.1.dev7 count as
    0.11.1, because that is the code they were cut from, and so does 0.11.1.post1. A bound that
    names a pre-release itself is compared exactly."""
    key = parse(version or "")
    if key is None or not is_known(version):
        return True
    low, high = parse(since) if since else None, parse(before) if before else None
    return (low is None or _reaches(key, low)) and (high is None or not _reaches(key, high))


def _reaches(key: Key, bound: Key) -> bool:
    return key[0] >= bound[0] if bound[1] == 0 else key >= bound
