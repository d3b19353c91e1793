"""Rate the name of a value: a secret, a count of model tokens, or neither."""

from __future__ import annotations

import re

NOT_SECRET, SECRET_UNLESS_NUMBER, SECRET = 0, 1, 2  # ratings of a name

# Parts anywhere in a name, case ignored.
_SECRET_PARTS = (
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "privatekey",
    "accesskey",
    "credential",
    "signature",
    "cookie",
    "jwt",
)
# Whole words of a name.
_SECRET_WORDS = frozenset(
    {
        "auth",
        "oauth",
        "authorization",
        "authentication",
        "bearer",
        "cred",
        "creds",
        "pat",
        "sig",
        "otp",
    }
)
_SECRET_WORD_ENDINGS = ("key", "keys", "pwd", "pw")  # of any word of a name
_SECRET_NAME_ENDINGS = ("pass", "pin")  # of the last word of a name
_HARMLESS_WORDS = frozenset({"monkey", "hotkey", "hotkeys", "turkey", "bypass", "compass", "spin"})
# Endings of classes of exceptions. The text behind KeyError says what is wrong, not a key.
_ERRORS = ("Error", "Exception", "Warning")
# Words in names of counts and numbers of model tokens. The value of `--max-num-batched-tokens 8192`
# describes the run: it stays if it is a number.
_COUNT_WORDS = frozenset(
    {
        "max",
        "min",
        "num",
        "n",
        "batched",
        "per",
        "count",
        "budget",
        "total",
        "speculative",
        "limit",
        "threshold",
        "index",
    }
)
_COUNT_WORDS |= {"len", "length", "prompt", "completion", "input", "output", "cached"}
# vLLM's options that take no value
_FLAGS_WITHOUT_VALUE = frozenset(
    {"allowcredentials", "returntokensastokenids", "enableprompttokensdetails"}
)


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is probably a secret.

    True for HF_TOKEN, --api-key and openaiApiKey, False for --tokenizer and --max-tokens."""
    return rate_name(name) == SECRET


def rate_name(name: str) -> int:
    """Return SECRET, SECRET_UNLESS_NUMBER or NOT_SECRET for a name."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    letters = "".join(words)
    suspects = [word for word in words if word not in _HARMLESS_WORDS]
    if not words or letters in _FLAGS_WITHOUT_VALUE or name.endswith(_ERRORS):
        return NOT_SECRET
    if (
        any(part in letters for part in _SECRET_PARTS)
        or not _SECRET_WORDS.isdisjoint(words)
        or any(word.endswith(_SECRET_WORD_ENDINGS) for word in suspects)
    ):
        return SECRET
    if words[-1:] == suspects[-1:] and words[-1].endswith(_SECRET_NAME_ENDINGS):
        return SECRET
    token_indices = [
        index for index, word in enumerate(words) if word.endswith(("token", "tokens"))
    ]
    if not token_indices:
        return NOT_SECRET
    first = token_indices[0]
    words_behind = words[first + 1 :]
    # token_id is the number of a model's token, but an id_token is a credential. new_tokens are
    # generated, but a new_token is a credential.
    is_count = (
        not _COUNT_WORDS.isdisjoint(words)
        or "id" in words_behind
        or "ids" in words_behind
        or ("new" in words and words[first].endswith("s"))
    )
    return SECRET_UNLESS_NUMBER if is_count else SECRET
