"""Test that docs/reference/options.md has the table of options.

`python tests/unit/test_options_docs.py` writes it."""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DOCUMENT = os.path.join(ROOT, "docs", "reference", "options.md")
BEGIN, END = "<!-- options: from autoinstr/config/options.py -->\n", "<!-- end of options -->\n"

if __name__ == "__main__":
    sys.path.insert(0, ROOT)

from autoinstr.config.option import GROUPS  # noqa: E402
from autoinstr.config.options import OPTIONS  # noqa: E402


def rendered() -> str:
    """Return the tables of options in Markdown."""
    lines = []
    for title in GROUPS:
        lines += [
            "",
            f"### {title[0].upper()}{title[1:]}",
            "",
            "| option | values | default | what it is |",
            "|---|---|---|---|",
        ]
        for option in OPTIONS:
            if option.group == title:
                cells = (
                    f"`{option.name}`",
                    option.value_type.values,
                    option.default_text,
                    option.help,
                )
                lines.append(
                    "| "
                    + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
                    + " |"
                )
    return "\n".join(lines) + "\n\n"


def parts() -> tuple[str, str, str]:
    with open(DOCUMENT, encoding="utf-8") as stream:
        before, _, rest = stream.read().partition(BEGIN)
    table, _, after = rest.partition(END)
    return before, table, after


def test_document_holds_the_table() -> None:
    """The document has the table that the code uses."""
    assert parts()[1] == rendered(), "run: python tests/unit/test_options_docs.py"


def test_document_shows_every_way_to_name_an_option() -> None:
    before, _, after = parts()
    for spelling in ("AUTOINSTR_WHEN", "-X autoinstr", "[autoinstr]", "--when", "AUTOINSTR_CONFIG"):
        assert spelling in before + after


if __name__ == "__main__":
    before, _, after = parts()
    with open(DOCUMENT, "w", encoding="utf-8") as stream:
        stream.write(before + BEGIN + rendered() + END + after)
