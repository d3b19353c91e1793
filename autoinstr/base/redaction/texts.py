"""Redact a text: replace each secret, and keep the text around it."""

from __future__ import annotations

import re

from .names import SECRET, rate_name
from .values import REDACTED, WORD, find_count_end, find_value_end, match_link

# Secrets that are recognised by their form, whatever their name is.
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
_USER = re.compile(
    r"(?<![\w-])((?:-[uU]\s{0,8}|--[\w-]{0,40}user(?:name)?(?:\s{1,8}|=))(?P<q>\\*[\"'])?(?!\d+:\d+(?:[\s\"']|\Z))[^\s:\"'\\]{0,200}:)"
    r"(?!//)(?(q)(?:.*?(?=(?P=q))|.*)|\S+)",
    re.DOTALL,
)
_TOKEN_FORMS = re.compile(
    r"\b(?:hf_\w{6,}|sk-[\w-]{6,}|gh[pousr]_\w{6,}|github_pat_\w{6,}|gl[a-z]{2,6}-[\w-]{12,}|glpat-[\w-]{6,}|xox[abeprs]-[\w-]{6,}|xapp-[\w-]{6,}"
    r"|A[KS]IA[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{12,}|GOCSPX-[\w-]{6,}|nvapi-[\w-]{6,}|(?:npm|gsk|r8)_[A-Za-z0-9]{8,}\b|pypi-[\w-]{8,}"
    r"|[srp]k_(?:live|test)_\w{6,}|whsec_\w{6,}|dckr_[op]at_[\w-]{6,}|SG\.[\w-]{6,}(?:\.[\w-]+)?|hv[sb]\.[\w-]{12,}|(?:xai|pplx)-\w{12,}"
    r"|do[opr]_v1_\w{12,}|hooks\.slack\.com/services/\S+|eyJ[\w-]{6,999}\.[\w-]+(?:\.[\w-]*)?)"
)


def redact_text(text: str) -> str:
    """Return the text with each secret replaced by REDACTED."""
    text = _PEM.sub(REDACTED, text)
    text = _BEARER.sub(lambda match: f"{match[1] or match[2]} {REDACTED}", text)
    text = _LOGIN.sub(f"{REDACTED}@", text)
    text = _BARE_LOGIN.sub(rf"\1:{REDACTED}@", text)
    text = _USER.sub(rf"\1{REDACTED}", text)
    text = _TOKEN_FORMS.sub(REDACTED, text)
    output: list[str] = []
    copied = position = 0  # the text is in the output up to `copied`, and searched to `position`
    while True:
        name = WORD.search(text, position)
        if name is None:
            return "".join(output) + text[copied:]
        position = name.end()
        link = match_link(text, name)
        rating = rate_name(name[0]) if link else 0
        if link and rating:
            start = link.end()
            find_end = find_value_end if rating == SECRET else find_count_end
            position = find_end(text, name, link)
            if position > start:
                output += [text[copied:start], REDACTED]
                copied = position
            position = max(position, start)
