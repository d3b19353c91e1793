"""The pictures of README.md in a real browser: columns of a table stay columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPO
from tests.support.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOLERANCE = 2.0  # pixels; a character is 8 wide

# Return the words of an SVG with the edges at which the browser draws them, and their line's y.
MEASURE_WORDS = """() => [...document.querySelectorAll("text")].flatMap((element) => {
    const drawn = [...Array(element.getNumberOfChars()).keys()];
    const words = [];
    let word = null;
    for (const index of drawn) {
        const character = element.getExtentOfChar(index);
        const letter = element.getSubStringLength(index, 1) && characterAt(element, index);
        if (letter === " ") { word = null; continue; }
        if (!word) words.push((word = { text: "", left: character.x, y: character.y }));
        word.text += letter;
        word.right = character.x + character.width;
    }
    return words;
    function characterAt(element, index) {
        const preserved = element.getAttribute("xml:space") === "preserve";
        const text = element.textContent;
        return (preserved ? text : text.trim().replace(/ +/g, " "))[index];
    }
})"""

# A picture drawn with `xml:space` on the group, where it does not reach the text.
LOST_TABLE = (
    "module            class                total  share  calls      mean      self",
    "Net               Net                2.456 s  94.5%     80  30.70 ms  15.81 ms",
    "  layers.[0-5]    Block              2.303 s  88.6%    480  4.799 ms  285.3 ms",
    "CrossEntropyLoss  CrossEntropyLoss  142.1 ms   5.5%     80  1.776 ms  142.1 ms",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def list_pictures(*suffixes: str) -> list[Path]:
    """Return the picture files that README.md shows."""
    names = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (REPO / "README.md").read_text())
    return [REPO / name for name in names if name.endswith(suffixes)]


def find_wrong_columns(page: Page) -> tuple[int, list[str]]:
    """Return how many cells stand in columns, and those whose right edge misses its heading's."""
    rows: dict[int, list[dict[str, float]]] = {}
    names: dict[int, list[str]] = {}
    for word in page.evaluate(MEASURE_WORDS):
        rows.setdefault(round(word["y"]), []).append(word)
        names.setdefault(round(word["y"]), []).append(word["text"])
    checked, wrong, edges = 0, [], []
    for y in sorted(rows):
        if "total" in names[y]:
            edges = [word["right"] for word in rows[y]][names[y].index("total") :]
            continue
        figures = [
            word["right"]
            for word, text in zip(rows[y], names[y])
            if re.fullmatch(r"ns|µs|ms|s|[\d.]+%", text)
        ]
        if not edges or len(figures) < 2:
            edges = []
            continue
        for right in figures:
            checked += 1
            if min(abs(right - edge) for edge in edges) > TOLERANCE:
                wrong.append(f"{' '.join(names[y])}: {right:.1f}, headings end at {edges}")
    return checked, wrong


@pytest.mark.parametrize("picture", list_pictures(".svg"), ids=lambda path: path.name)
def test_columns_stay_columns(browser: Browser, picture: Path) -> None:
    page = browser.new_page()
    page.goto(picture.as_uri())
    checked, wrong = find_wrong_columns(page)
    page.close()
    assert checked > 20
    assert wrong == []


def test_lost_columns_are_found(browser: Browser, tmp_path: Path) -> None:
    """The check fails on a picture whose runs of spaces the browser collapses."""
    texts = "".join(
        f'<text x="16" y="{20 + 18 * row}" textLength="{8 * len(line)}"'
        f' lengthAdjust="spacingAndGlyphs">{line}</text>'
        for row, line in enumerate(LOST_TABLE)
    )
    (tmp_path / "lost.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="700" height="100">'
        f'<g font-family="monospace" font-size="13" xml:space="preserve">{texts}</g></svg>'
    )
    page = browser.new_page()
    page.goto((tmp_path / "lost.svg").as_uri())
    checked, wrong = find_wrong_columns(page)
    page.close()
    assert checked == 12 and wrong


@pytest.mark.parametrize("picture", list_pictures(".svg", ".png"), ids=lambda path: path.name)
def test_the_browser_draws_the_picture(browser: Browser, picture: Path) -> None:
    page = browser.new_page()
    page.goto((REPO / "README.md").as_uri())
    size = page.evaluate(
        """async (address) => {
            const image = new Image();
            image.src = address;
            await image.decode();
            return [image.naturalWidth, image.naturalHeight];
        }""",
        picture.as_uri(),
    )
    page.close()
    assert min(size) > 100
