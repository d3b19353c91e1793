"""Find where the value of a name begins and ends in a text.

The forms are `name=value`, `name: value`, `"name", "value"`, `name("value")` and `--name value`."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

# Headers whose values have several words: Digest username="me", response="…"
_HEADER_NAMES = re.compile(r"auth|cookie", re.IGNORECASE)
# A quoted string. One without a closing quote extends to the end of the text.
_QUOTED = "|".join(
    rf"{q}{q}{q}[^{q}\\]*(?:(?:\\.|{q}(?!{q}{q}))[^{q}\\]*)*(?:{q}{q}{q}|\\?\Z)|{q}[^{q}\\]*(?:\\.[^{q}\\]*)*(?:{q}|\\?\Z)"
    for q in "\"'"
)
STRING = rf"(?:(?<!\w)[rbfut]{{1,2}})?(?:{_QUOTED})"
_OPENING = r"(?:[rbfut]{1,2})?\\*[\"']"
FLAGS = re.IGNORECASE | re.DOTALL
_TOKEN = re.compile(
    rf"(?P<quoted>{STRING}(?:\s*(?:\+\s*)?{STRING})*|(?<!\\)(?P<escaped>\\+[\"'])(?:.*?(?<!\\)(?P=escaped)|.*))"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<end>[\s;&])|(?P<comma>[,:|<>])|\\+[^\\\"']?|[^\s;&\"'()\[\]{},:|<>\\]+",
    FLAGS,
)
_NUMBER = r"(?:-?\d[\d._]*(?:e[+-]?\d+)?[kmgt]?i?b?|none|null|true|false|auto)"
NUMBERS = re.compile(rf"[\s\[({{\"'\\]*{_NUMBER}(?:[\s,]+{_NUMBER})*[\s\])}},\"'\\]*\Z", FLAGS)
_ONE_NUMBER = re.compile(
    rf"(?:\\*[\"'])?{_NUMBER}(?=[\s)\]}};&|\"'\\]|,[\s\"']|,[\w.]+=|\Z)", FLAGS
)
_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate|NTLM|Kerberos|GSSAPI|AWS4-HMAC-SHA256)\s+",
    re.IGNORECASE,
)
# A YAML block: `token: |` with indented lines, or `tokens:` with lines that begin with a dash.
_BLOCK = re.compile(
    r"[|>][-+\d]*[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\Z)|\n)*|-[ \t][^\n]*(?:\n[ \t]*-[ \t][^\n]*)*"
)
# a value behind the string that holds its name: 'X-Api-Key: 'x, "X-Api-Key: " + "x"
_CONTINUATION = re.compile(r"[\"'](?:(?=[^\s,)\]}:;&|])|\s*\+\s*)")
# the annotation in `token: str = "…"`
_ANNOTATION = re.compile(r"[A-Za-z_\"'][\w.\[\], |\"']{0,80}?=(?!=)\s*")

WORD = re.compile(r"[\w.-]+")
_LINK = re.compile(
    rf"(?P<closed>(?:\\*[\"'\])}}]|\[[^\[\]\n]{{0,40}}\]|%2[27]){{0,6}})\s*"
    rf"(?:(?P<colon>:(?!//|=))|[=!:+|~?]?=+>?|%3[ad]|(?P<comma>,)(?=\s*{_OPENING}(?!--))|\((?=\s*{_OPENING}))\s*",
    re.IGNORECASE,
)
_GAP = re.compile(r"(?:\\*[\"'])?(?:\s|\\\n)+(?!--)(?=\S)")
_NEXT_WORD = re.compile(r"[ \t]+(?:\\\n[ \t]*)?(?![-;&|<>#])(?=\S)")
_NEXT_STRING = re.compile(rf"\s*,\s*(?={_OPENING}(?!-))", re.IGNORECASE)


def match_link(text: str, name: re.Match[str]) -> re.Match[str] | None:
    """Match what connects a name to its value; None if no value follows.

    Quotes and brackets that close after the name belong to the link. After an option, a blank is
    a link too."""
    link = _LINK.match(text, name.end())
    if link:
        return link
    return _GAP.match(text, name.end()) if name[0].startswith("-") else None


def find_value_end(text: str, name: re.Match[str], link: re.Match[str]) -> int:
    """Return where the value of a name ends.

    An option and a list of strings may have several values; then it is the end of the last."""
    position, groups = link.end(), link.groupdict()
    is_assignment = "closed" in groups
    if is_assignment and groups["colon"] and not groups["closed"]:
        block = _BLOCK.match(text, position)
        if block:
            return block.end()
        quote = text[max(name.start() - 2, 0) : name.start()]
        first = text[position : position + 1]
        is_in_string = quote[-1:] in ("'", '"')
        if is_in_string or (
            _HEADER_NAMES.search(name[0]) and first not in ("'", '"', "[", "{", "(", "\\")
        ):
            to_closing_quote = (
                rf"(?:\\.|[^\\\n{quote[-1:]}])*" if is_in_string and quote[0] != "\\" else r"[^\n]*"
            )
            string = re.compile(to_closing_quote).match(text, position)
            position = string.end() if string else position
            continuation = _CONTINUATION.match(text, position)
            return _find_end(text, continuation.end()) if continuation else position
        annotation = _ANNOTATION.match(text, position)
        position = annotation.end() if annotation else position
    scheme = _SCHEME.match(text, position)
    end = _find_end(text, scheme.end() if scheme else position)
    separator = _NEXT_STRING if groups.get("comma") else None if is_assignment else _NEXT_WORD
    while separator:
        next_value = separator.match(text, end)
        if next_value is None:
            break
        end = _find_end(text, next_value.end())
    return end


def find_count_end(text: str, name: re.Match[str], link: re.Match[str]) -> int:
    """Return where the value of a count's name ends, or its start if the value is a number."""
    if _ONE_NUMBER.match(text, link.end()):
        return link.end()
    end = _find_end(text, link.end())
    return link.end() if NUMBERS.match(text[link.end() : end]) else find_value_end(text, name, link)


def _find_end(text: str, start: int) -> int:
    """Return where one value ends: after its quotes and brackets, or at white space, ; or &."""
    depth, end, is_structured = 0, start, None
    for token in _TOKEN.finditer(text, start):
        kind = token.lastgroup
        string = token["quoted"]
        if is_structured is None:
            is_structured = bool(string or kind == "open")
        elif not depth:
            # After a string or a list, the next field of the same record begins. In a bare word,
            # a quote closes the string that the word is in.
            if is_structured and kind in ("close", "comma"):
                break
            if (
                string
                and not is_structured
                and (not string[1:2].strip() or string[1] in ",)]}:;&|")
            ):
                break
        if kind == "end" and not depth:
            break
        depth += (kind == "open") - (kind == "close" and depth > 0)
        end = token.end()
    return end
