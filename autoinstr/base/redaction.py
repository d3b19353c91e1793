"""Secrets are taken out of command lines before anything stores or shows them.

The rule is by name (`--api-key x`, `HF_TOKEN=x`, `"password": "x"`, `Authorization: Bearer x`) and
by the look of the value (hf_…, sk-…, a URL with a password). It takes out too much rather than too
little: what a run needs to be recognised is the program and its shape, not every value.
docs/security.md says what it cannot see.

The gate loads this file by itself, without the package: it imports nothing of ours. Each expression
and each loop goes over a text once, because a program given by -c can be long: where something can
be tried again from the next letter, its length is bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"

# -- Names: pieces of one in any case, words of one, ends of its words, and its last word ----------
_ANYWHERE = (
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
_WORDS = frozenset(
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
_ENDS = ("key", "keys", "pwd", "pw")
_LAST = ("pass", "pin")
_NO_SECRET = frozenset({"monkey", "hotkey", "hotkeys", "turkey", "bypass", "compass", "spin"})
# Counts and numbers of model tokens: --max-num-batched-tokens 8192 says what was run. These keep
# their value if it is a number.
_COUNTING = frozenset(
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
_COUNTING |= {"len", "length", "prompt", "completion", "input", "output", "cached"}
_SWITCHES = frozenset(
    {"allowcredentials", "returntokensastokenids", "enableprompttokensdetails"}
)  # vLLM's, without a value
_HEADERS = re.compile(
    r"auth|cookie", re.IGNORECASE
)  # their values are of many words: Digest username="me", response="…"
# What a program of -c says without a secret, sorted(x, key=f), d.keys(), pass; and with one:
# login("…").
_ORDINARY = frozenset({"pass", "key", "keys"})
_TELLING = frozenset({"login"})

# -- Values ----------------------------------------------------------------------------------------
# What is not closed goes to the end of the text.
_QUOTED = "|".join(
    rf"{q}{q}{q}[^{q}\\]*(?:(?:\\.|{q}(?!{q}{q}))[^{q}\\]*)*(?:{q}{q}{q}|\\?\Z)|{q}[^{q}\\]*(?:\\.[^{q}\\]*)*(?:{q}|\\?\Z)"
    for q in "\"'"
)
_STRING = rf"(?:(?<!\w)[rbfut]{{1,2}})?(?:{_QUOTED})"
_OPENING = r"(?:[rbfut]{1,2})?\\*[\"']"
_FLAGS = re.IGNORECASE | re.DOTALL
_PIECE = re.compile(
    rf"(?P<quoted>{_STRING}(?:\s*(?:\+\s*)?{_STRING})*|(?<!\\)(?P<escaped>\\+[\"'])(?:.*?(?<!\\)(?P=escaped)|.*))"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<end>[\s;&])|(?P<comma>[,:|<>])|\\+[^\\\"']?|[^\s;&\"'()\[\]{},:|<>\\]+",
    _FLAGS,
)
_NUMBER = r"(?:-?\d[\d._]*(?:e[+-]?\d+)?[kmgt]?i?b?|none|null|true|false|auto)"
_NUMBERS = re.compile(rf"[\s\[({{\"'\\]*{_NUMBER}(?:[\s,]+{_NUMBER})*[\s\])}},\"'\\]*\Z", _FLAGS)
_ONE_NUMBER = re.compile(
    rf"(?:\\*[\"'])?{_NUMBER}(?=[\s)\]}};&|\"'\\]|,[\s\"']|,[\w.]+=|\Z)", _FLAGS
)
_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate|NTLM|Kerberos|GSSAPI|AWS4-HMAC-SHA256)\s+",
    re.IGNORECASE,
)
# YAML: token: |, and lines that are indented; tokens:, and lines that begin with a dash.
_BLOCK = re.compile(
    r"[|>][-+\d]*[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\Z)|\n)*|-[ \t][^\n]*(?:\n[ \t]*-[ \t][^\n]*)*"
)
_OUTSIDE = re.compile(
    r"[\"'](?:(?=[^\s,)\]}:;&|])|\s*\+\s*)"
)  # 'X-Api-Key: 'x, "X-Api-Key: " + "x"
_ANNOTATION = re.compile(r"[A-Za-z_\"'][\w.\[\], |\"']{0,80}?=(?!=)\s*")  # token: str = "…"

# -- From a name to its value: quotes and brackets around the name, then name=…, name: …, "name",
# "…" or name("…"), or --name … ----------
_WORD = re.compile(r"[\w.-]+")
_LINK = re.compile(
    rf"(?P<closed>(?:\\*[\"'\])}}]|\[[^\[\]\n]{{0,40}}\]|%2[27]){{0,6}})\s*"
    rf"(?:(?P<colon>:(?!//|=))|[=!:+|~?]?=+>?|%3[ad]|(?P<comma>,)(?=\s*{_OPENING}(?!--))|\((?=\s*{_OPENING}))\s*",
    re.IGNORECASE,
)
_GAP = re.compile(r"(?:\\*[\"'])?(?:\s|\\\n)+(?!--)(?=\S)")
_NEXT_WORD = re.compile(r"[ \t]+(?:\\\n[ \t]*)?(?![-;&|<>#])(?=\S)")
_NEXT_STRING = re.compile(rf"\s*,\s*(?={_OPENING}(?!-))", re.IGNORECASE)
_WHOLE = re.compile(r"[^\w\s=:\"']{0,3}(?:(?:[\w.-]+=)+|[\w.-]+:(?!//))")

# -- By their look ---------------------------------------------------------------------------------
_PEM = re.compile(
    r"-----BEGIN[A-Z ]{0,40}PRIVATE KEY.*?(?:-----END[A-Z ]{0,40}-----|\Z)", re.DOTALL
)
_BEARER = re.compile(
    r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}|\b(Negotiate|NTLM)\s+[\w.~+/=-]{16,}", re.IGNORECASE
)
_LOGIN = re.compile(r"(?<=://)(?:[^\s/?#]*|[^\s/?#:@]{0,100}:(?!\d+[/?#])[^\s\"'@]{0,300})@")
_BARE_LOGIN = re.compile(
    r"(?<![\w@/.:-])([\w.+-]{1,64}):(?!//)[^\s@\"'/]{1,100}@(?=[\w\[])(?!sha256:)"
)
_USER_OPTION = re.compile(r"-[uU]|--[\w-]{0,40}user(?:name)?")
_USER = re.compile(
    r"(?<![\w-])((?:-[uU]\s{0,8}|--[\w-]{0,40}user(?:name)?(?:\s{1,8}|=))(?P<q>\\*[\"'])?(?!\d+:\d+(?:[\s\"']|\Z))[^\s:\"'\\]{0,200}:)"
    r"(?!//)(?(q)(?:.*?(?=(?P=q))|.*)|\S+)",
    re.DOTALL,
)
_TELLTALE = re.compile(
    r"\b(?:hf_\w{6,}|sk-[\w-]{6,}|gh[pousr]_\w{6,}|github_pat_\w{6,}|gl[a-z]{2,6}-[\w-]{12,}|glpat-[\w-]{6,}|xox[abeprs]-[\w-]{6,}|xapp-[\w-]{6,}"
    r"|A[KS]IA[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{12,}|GOCSPX-[\w-]{6,}|nvapi-[\w-]{6,}|(?:npm|gsk|r8)_[A-Za-z0-9]{8,}\b|pypi-[\w-]{8,}"
    r"|[srp]k_(?:live|test)_\w{6,}|whsec_\w{6,}|dckr_[op]at_[\w-]{6,}|SG\.[\w-]{6,}(?:\.[\w-]+)?|hv[sb]\.[\w-]{12,}|(?:xai|pplx)-\w{12,}"
    r"|do[opr]_v1_\w{12,}|hooks\.slack\.com/services/\S+|eyJ[\w-]{6,999}\.[\w-]+(?:\.[\w-]*)?)"
)

# -- Programs: the argument after -c (also -lc, -Ic), or the rest of this one ----------------------
_PROGRAM = re.compile(r"-[A-Za-z]{0,8}?c")
# Names such as os.environ["HF_TOKEN"] stay. A comment goes as a string does: an apostrophe in it
# would turn inside and outside round.
_LITERAL = re.compile(
    rf"(?-i:(?<=[\w)\]]\[)[\"'][A-Z_]{{1,64}}[\"'](?=\]))|(?P<literal>#[^\n]*|{_STRING})", _FLAGS
)


def redact_argv(argv: Iterable[str]) -> list[str]:
    """The same command line, argument by argument, without its secrets."""
    clean: list[str] = []
    before, values, weight = (
        "",
        0,
        0,
        # values of a secret option: 0 none is expected, 1 the first, 2 a later one (some take several)
    )
    for argument in argv:
        # A first value may start with a dash of its own; what starts with two is the next option.
        if values and not argument.startswith("--" if values == 1 else "-"):
            if weight == 2 or not _NUMBERS.match(argument):
                clean.append(REDACTED)
                values = 2
                continue
            values = 0
        program = _PROGRAM.match(before if _PROGRAM.fullmatch(before) else argument)
        clean.append(_redact_program(argument) if program else _redact_argument(argument, before))
        weight = _weight(argument) if argument.startswith("-") and "=" not in argument[:-1] else 0
        before, values = argument, int(weight > 0)
    return clean


def redact_text(text: str) -> str:
    """The text without its secrets; what is around them stays."""
    text = _PEM.sub(REDACTED, text)
    text = _BEARER.sub(lambda found: f"{found[1] or found[2]} {REDACTED}", text)
    text = _LOGIN.sub(f"{REDACTED}@", text)
    text = _BARE_LOGIN.sub(rf"\1:{REDACTED}@", text)
    text = _USER.sub(rf"\1{REDACTED}", text)
    text = _TELLTALE.sub(REDACTED, text)
    clean: list[str] = []
    done = at = 0
    while True:
        word = _WORD.search(text, at)
        if word is None:
            return "".join(clean) + text[done:]
        at = word.end()
        link = _LINK.match(text, at)
        gap = _GAP.match(text, at) if not link and word[0].startswith("-") else None
        found = link or gap
        weight = _weight(word[0]) if found else 0
        if found and weight:
            start = found.end()
            at = _end(text, word, found) if weight == 2 else _end_of_count(text, word, found)
            if at > start:
                clean += [text[done:start], REDACTED]
                done = at
            at = max(at, start)


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is probably a secret: HF_TOKEN, --api-key, openaiApiKey, but not
    --tokenizer or --max-tokens."""
    return _weight(name) == 2


def _weight(name: str) -> int:
    """2: a name of secrets, 1: one of secrets if what it has is no number, 0: neither."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    joined = "".join(words)
    ends = [word for word in words if word not in _NO_SECRET]
    if not words or joined in _SWITCHES:
        return 0
    if (
        any(part in joined for part in _ANYWHERE)
        or not _WORDS.isdisjoint(words)
        or any(word.endswith(_ENDS) for word in ends)
    ):
        return 2
    if words[-1:] == ends[-1:] and words[-1].endswith(_LAST):
        return 2
    tokens = [at for at, word in enumerate(words) if word.endswith(("token", "tokens"))]
    if not tokens:
        return 0
    after = words[tokens[0] + 1 :]
    # token_id is the number of a model's token, an id_token somebody's; new_tokens are generated, a
    # new_token is a better secret.
    counts = (
        not _COUNTING.isdisjoint(words)
        or "id" in after
        or "ids" in after
        or ("new" in words and words[tokens[0]].endswith("s"))
    )
    return 1 if counts else 2


def _redact_argument(argument: str, before: str) -> str:
    whole = _WHOLE.match(argument)
    weight = max(map(_weight, re.split("[=:]", whole[0]))) if whole else 0
    if whole and (weight == 2 or (weight == 1 and not _NUMBERS.match(argument, whole.end()))):
        return f"{whole[0]}{REDACTED}" if len(argument) > whole.end() else argument
    option, equals, value = (
        argument.partition("=") if argument.startswith("-") else (before, "", argument)
    )
    if _USER_OPTION.fullmatch(option):
        user, colon, password = value.partition(":")
        if (
            password
            and not password.startswith("//")
            and not (user.isdigit() and password.isdigit())
        ):
            return f"{option if equals else ''}{equals}{user}{colon}{REDACTED}"
    return redact_text(argument)


def _redact_program(argument: str) -> str:
    """The text of a program: where it speaks of a secret anywhere, no string stays, because `x =
    "…"; login(token=x)` is as good."""
    whole = _WHOLE.match(argument)
    if whole and is_secret_name(whole[0]):
        return _redact_argument(argument, "")
    said = {word.rpartition(".")[2] for word in _WORD.findall(argument)}
    clean = redact_text(argument)
    if said & _TELLING or any(map(is_secret_name, said - _ORDINARY)):
        clean = _LITERAL.sub(lambda found: REDACTED if found["literal"] else found[0], clean)
    return clean


def _end_of_count(text: str, word: re.Match[str], found: re.Match[str]) -> int:
    """Where the value ends that has to go; its start if it is a number."""
    if _ONE_NUMBER.match(text, found.end()):
        return found.end()
    end = _end_of_value(text, found.end())
    return found.end() if _NUMBERS.match(text[found.end() : end]) else _end(text, word, found)


def _end(text: str, word: re.Match[str], found: re.Match[str]) -> int:
    """Where what belongs to a name ends: one value, or several after an option and in a list."""
    at, said = found.end(), found.groupdict()
    link = "closed" in said
    if link and said["colon"] and not said["closed"]:
        block = _BLOCK.match(text, at)
        if block:
            return block.end()
        quote = text[max(word.start() - 2, 0) : word.start()]
        first = text[at : at + 1]
        if quote[-1:] in ("'", '"') or (
            _HEADERS.search(word[0]) and first not in ("'", '"', "[", "{", "(", "\\")
        ):
            inside = (
                rf"(?:\\.|[^\\\n{quote[-1:]}])*"
                if quote[-1:] in ("'", '"') and quote[0] != "\\"
                else r"[^\n]*"
            )
            enclosed = re.compile(inside).match(text, at)
            at = enclosed.end() if enclosed else at
            further = _OUTSIDE.match(text, at)
            return _end_of_value(text, further.end()) if further else at
        annotation = _ANNOTATION.match(text, at)
        at = annotation.end() if annotation else at
    scheme = _SCHEME.match(text, at)
    end = _end_of_value(text, scheme.end() if scheme else at)
    following = _NEXT_STRING if said.get("comma") else None if link else _NEXT_WORD
    while following:
        further = following.match(text, end)
        if further is None:
            break
        end = _end_of_value(text, further.end())
    return end


def _end_of_value(text: str, at: int) -> int:
    """Where one value ends: behind its quotes and brackets, or at white space, ; and &."""
    depth, end, structured = 0, at, None
    for piece in _PIECE.finditer(text, at):
        kind = piece.lastgroup
        quoted = piece["quoted"]
        if structured is None:
            structured = bool(quoted or kind == "open")
        elif not depth:
            # After a string or a list, the next field of the same record; in a bare word, the quote
            # that closes what the word lies in.
            if structured and kind in ("close", "comma"):
                break
            if quoted and not structured and (not quoted[1:2].strip() or quoted[1] in ",)]}:;&|"):
                break
        if kind == "end" and not depth:
            break
        depth += (kind == "open") - (kind == "close" and depth > 0)
        end = piece.end()
    return end
