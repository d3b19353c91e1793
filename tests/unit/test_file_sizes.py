"""Test that no file of the package is too long to read in one go."""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
MAX_LINES = 250
# File -> why it is longer.
EXCEPTIONS = {
    "sitecustomize/_autoinstr_gate.py": "each interpreter start loads it: a second file costs time"
}


def count_lines() -> dict[str, int]:
    """Count the lines of each Python file of the package and of the gate."""
    files = [*REPO.glob("autoinstr/**/*.py"), *REPO.glob("sitecustomize/*.py")]
    return {
        str(file.relative_to(REPO)): len(file.read_text(encoding="utf-8").splitlines())
        for file in files
    }


def test_no_file_has_more_than_250_lines() -> None:
    sizes = count_lines()
    assert len(sizes) > 200
    long_files = {file: lines for file, lines in sizes.items() if lines > MAX_LINES}
    assert set(long_files) - set(EXCEPTIONS) == set(), long_files


def test_each_exception_is_needed_and_has_a_reason() -> None:
    sizes = count_lines()
    assert [
        file
        for file, reason in EXCEPTIONS.items()
        if sizes.get(file, 0) <= MAX_LINES or not reason.strip()
    ] == []
