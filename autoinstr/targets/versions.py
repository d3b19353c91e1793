"""Compare package versions, as tolerantly as packages write them.

`packaging` is not used, because it must not be imported in a user's process."""

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


def parse_version(text: str) -> Key | None:
    """Return a key to compare versions by, or None if the text is not a version.

    What follows `+` is ignored, and so is a `.dev` after an rc or a post."""
    epoch_and_version = text.strip().lower().lstrip("v").partition("+")[0].partition("!")
    words = _split_words(epoch_and_version[2] or epoch_and_version[0])
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


def _split_words(text: str) -> list[str]:
    """Return the runs of digits and the runs of letters; all other characters separate."""
    words: list[str] = []
    previous_kind = ""
    for character in text:
        kind = "0" if character.isdigit() else "a" if character.isalpha() else ""
        if kind and kind == previous_kind:
            words[-1] += character
        elif kind:
            words.append(character)
        previous_kind = kind
    return words


def is_known(version: str | None) -> bool:
    """Return whether the version identifies the code of the package.

    setuptools-scm gives a checkout without tags the version 0.1.devN, which identifies nothing."""
    key = parse_version(version or "")
    return key is not None and not (key[0] in ((0,), (0, 1)) and key[1] == _PHASES["dev"])


def is_within(version: str | None, since: str, before: str) -> bool:
    """Return whether `since` <= version < `before`; an empty bound is no bound.

    An unknown version is within all bounds. A bound that is a release means the code line:
    0.11.1rc2, 0.11.1.dev7 and 0.11.1.post1 count as 0.11.1, the code that they were cut from. A
    bound that is a pre-release itself is compared exactly."""
    key = parse_version(version or "")
    if key is None or not is_known(version):
        return True
    low = parse_version(since) if since else None
    high = parse_version(before) if before else None
    return (low is None or _reaches(key, low)) and (high is None or not _reaches(key, high))


def _reaches(key: Key, bound: Key) -> bool:
    return key[0] >= bound[0] if bound[1] == 0 else key >= bound
