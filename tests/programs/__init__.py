"""Programs that the tests run in interpreters of their own, as a user would; none of them knows of
autoinstr unless it says so."""

from __future__ import annotations

from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent
