"""The documentation holds together: links, paths, sizes and sentences."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstr.cli.subcommands import SUBCOMMANDS
from autoinstr.config.options import OPTIONS
from autoinstr.emitters.registry import list_emitters
from autoinstr.report.formats import FORMATS

REPO = Path(__file__).resolve().parents[2]
MOST_WORDS = 25_000  # of all pages
MOST_README_LINES = 120
MOST_COLUMNS = 100
MOST_SENTENCE_WORDS = 25
# Folders with files that may name a page.
SOURCE_FOLDERS = (
    "autoinstr",
    "benchmarks",
    "deploy",
    "examples",
    "requirements",
    "sitecustomize",
    "tests",
    "tools",
    ".ci",
)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)>\s]+)>?\)")


def list_pages() -> list[Path]:
    """Return the Markdown files of the repository; without git, those that it would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    pages = [REPO / name for name in listed if name and (REPO / name).exists()]
    return pages or sorted(
        [*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), *REPO.glob("tests/**/*.md")]
    )


PAGES = list_pages()
IDS = [str(page.relative_to(REPO)) for page in PAGES]


def read_prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines of a page that are neither code nor front matter."""
    is_code = is_front_matter = False
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip() == "---" and (number == 1 or is_front_matter):
            is_front_matter = not is_front_matter
            continue
        if line.lstrip().startswith("```"):
            is_code = not is_code
            continue
        is_indented_code = line.startswith("    ") and not re.match(r"\s+(- |\d+\. )", line)
        if not (is_code or is_front_matter or is_indented_code):
            yield number, line


def read_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    anchors = set()
    for _, line in read_prose(page):
        heading = re.match(r"#+ (.*)", line)
        if heading:
            text = re.sub(r"[^\w\- ]", "", re.sub(LINK, "", heading[1]).lower())
            anchors.add(text.strip().replace(" ", "-"))
    return anchors


def read_links(page: Path) -> list[tuple[int, str]]:
    """Return line and address of each link of a page that leads into the repository."""
    return [
        (number, address)
        for number, line in read_prose(page)
        for address in LINK.findall(re.sub(r"`[^`]*`", "code", line))
        if not address.startswith(("http://", "https://"))
    ]


def clean(block: str) -> str:
    """Return a paragraph or list item with one word for each code span, without its bullet."""
    return re.sub(r"^(- |\d+\. )", "", re.sub(r"`[^`]*`", "code", block.strip()))


def split_sentences(page: Path) -> Iterator[str]:
    """Yield the sentences of a page's paragraphs and list items."""
    blocks, block = [], ""
    for _, line in [*read_prose(page), (0, "")]:
        begins = re.match(r"\s*(- |\d+\. )", line)
        if not line.strip() or line.lstrip().startswith(("|", "#", "<!--", "![")) or begins:
            blocks.append(block)
            block = ""
        if line.strip() and not line.lstrip().startswith(("|", "#", "<!--", "![")):
            block += " " + line.strip()
    for block in blocks:
        yield from re.split(r"(?<=[.!?])\s+", clean(block))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_resolve(page: Path) -> None:
    problems = []
    for number, address in read_links(page):
        name, _, anchor = address.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            problems.append(f"line {number}: {address} does not exist")
        elif anchor and anchor not in read_anchors(target):
            problems.append(f"line {number}: {address}: no such heading")
    assert problems == []


def test_paths_in_the_sources_resolve() -> None:
    """A comment, message or configuration file that names a page names one that exists."""
    problems = []
    files = [REPO / "Makefile", REPO / "pyproject.toml"]
    for folder in SOURCE_FOLDERS:
        files += [path for path in (REPO / folder).rglob("*") if "__pycache__" not in path.parts]
    for file in files:
        if not file.is_file() or file.suffix in (".pyc", ".png", ".airec", ".md"):
            continue
        text = file.read_text(encoding="utf-8", errors="ignore")
        for name in re.findall(r"(?<![\w/])docs/[\w./-]+\.(?:md|tsv|json|svg|png)", text):
            if not (REPO / name).exists():
                problems.append(f"{file.relative_to(REPO)}: {name}")
    assert problems == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_named_in_code_spans_exist(page: Path) -> None:
    """A page that names a file of the repository names one that exists."""
    roots = "autoinstr|benchmarks|docs|examples|requirements|sitecustomize|tests|tools|deploy"
    problems = [
        f"line {number}: {name}"
        for number, line in read_prose(page)
        for name in re.findall(rf"`((?:{roots})/[\w./-]+\.\w+)(?:::\w+)?`", line)
        if not (REPO / name).exists()
    ]
    assert problems == []


def test_pages_are_linked_from_the_front() -> None:
    linked = {
        (page.parent / address.partition("#")[0]).resolve()
        for page in (REPO / "docs" / "README.md", REPO / "README.md")
        for _, address in read_links(page)
    }
    front = {REPO / "README.md"}
    templates = set((REPO / ".github").rglob("*.md"))
    assert set(PAGES) - linked - front - templates == set()


def read_first_cells(page: str) -> set[str]:
    """Return the words in the first cells of a page's tables, without their markup."""
    return {
        re.split(r"[ |]", line[2:].strip("`*"))[0].strip("`*")
        for _, line in read_prose(REPO / page)
        if line.startswith("| ")
    }


def test_pages_name_every_row_of_a_registry() -> None:
    """A format, emitter, option or subcommand has a line in the table of its page."""
    assert set(FORMATS) <= read_first_cells("docs/reference/formats.md")
    emitters = {row.name for row in list_emitters()}
    assert emitters <= read_first_cells("docs/reference/emitters-and-profilers.md")
    assert {option.name for option in OPTIONS} <= read_first_cells("docs/reference/options.md")
    assert set(SUBCOMMANDS) <= read_first_cells("docs/reference/command-line.md")


def test_pages_have_few_words() -> None:
    assert sum(len(page.read_text(encoding="utf-8").split()) for page in PAGES) <= MOST_WORDS


def test_readme_is_short() -> None:
    assert len((REPO / "README.md").read_text().splitlines()) <= MOST_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_lines_are_short(page: Path) -> None:
    """Tables and pictures are exempt, as code is."""
    long_lines = [
        number
        for number, line in read_prose(page)
        if len(line) > MOST_COLUMNS and not line.lstrip().startswith(("|", "!["))
    ]
    assert long_lines == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_sentences_are_short(page: Path) -> None:
    long_sentences = [
        sentence
        for sentence in split_sentences(page)
        if len(sentence.split()) > MOST_SENTENCE_WORDS
    ]
    assert long_sentences == []
