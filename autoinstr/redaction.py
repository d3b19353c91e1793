"""Secrets are taken out of command lines before anything stores or shows them.

The rule is by name (`--api-key x`, `HF_TOKEN=x`, `"password": "x"`, `Authorization: Bearer x`) and by the look of the value (hf_…,
sk-…, a URL with a password). It takes out too much rather than too little: what a run needs to be recognised is the program and its
shape, not every value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"

_ANYWHERE = ("secret", "passw", "passphrase", "apikey", "privatekey", "accesskey", "credential", "signature", "cookie", "jwt")
_WORDS = frozenset({"key", "pwd", "auth", "oauth", "authorization", "authentication", "bearer", "creds", "pat", "sig"})
# Counts of model tokens, not secrets: --max-num-batched-tokens 8192 says what was run.
_COUNTING = frozenset({"max", "min", "num", "n", "new", "batched", "per", "count", "budget", "total", "speculative", "id", "ids"})

# Lengths are bounded so that the time is linear in the text: a program given by -c can be long.
_NAME = r"[A-Za-z_][\w.-]{0,200}"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
# name=value, name: value, "name": "value", ?name=value, and --name value inside one argument, as in bash -c "vllm serve --api-key x"
_NAMED = re.compile(rf"(?<!\w)(?P<name>{_NAME})[\"']?\s*[=:](?!//)\s*|(?P<option>--?{_NAME})\s+(?!-)")
_VALUE = re.compile(rf"(?:(?:Bearer|Basic|Token|ApiKey)\s+)?(?:{_QUOTED}|[^\s;&\"']+|[\"'].*)", re.IGNORECASE | re.DOTALL)
_WHOLE = re.compile(rf"(-{{0,2}}{_NAME})=")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")
_TELLTALE = re.compile(
    r"\b(?:hf_\w{6,}|sk-[\w-]{6,}|gh[pousr]_\w{6,}|github_pat_\w{6,}|glpat-[\w-]{6,}|xox[abprs]-[\w-]{6,}|A[KS]IA[A-Z0-9]{12,}|AIza[\w-]{20,}"
    r"|nvapi-[\w-]{6,}|eyJ[\w-]{6,999}\.[\w-]+(?:\.[\w-]*)?)"
)


def redact_argv(argv: Iterable[str]) -> list[str]:
    """The same command line, argument by argument, without its secrets."""
    clean: list[str] = []
    values = 0  # of a secret option: 0 none is expected, 1 the first, 2 a later one (some options take several)
    for argument in argv:
        # A first value may start with a dash of its own; what starts with two is the next option.
        if values and not argument.startswith("--" if values == 1 else "-"):
            clean.append(REDACTED)
            values = 2
            continue
        values = int(argument.startswith("-") and "=" not in argument and is_secret_name(argument))
        whole = _WHOLE.match(argument)
        clean.append(f"{whole[0]}{REDACTED}" if whole and is_secret_name(whole[1]) else redact_text(argument))
    return clean


def redact_text(text: str) -> str:
    """The text without its secrets; what is around them stays."""
    text = _BEARER.sub(lambda found: f"{found[1]} {REDACTED}", text)
    text = _LOGIN.sub(f"{REDACTED}@", text)
    text = _TELLTALE.sub(REDACTED, text)
    clean, at = "", 0
    while True:
        named = _NAMED.search(text, at)
        if named is None:
            return clean + text[at:]
        clean += text[at : named.end()]
        at = named.end()
        value = _VALUE.match(text, at) if is_secret_name(named["name"] or named["option"]) else None
        if value:
            clean += REDACTED
            at = value.end()


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is probably a secret: HF_TOKEN, --api-key, openaiApiKey, but not --tokenizer or --max-tokens."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    joined = "".join(words)
    if any(part in joined for part in _ANYWHERE) or not _WORDS.isdisjoint(words):
        return True
    return any(word.endswith(("token", "tokens")) for word in words) and _COUNTING.isdisjoint(words)
