"""Programs that the tests run in their own interpreters, as a user would. A program knows nothing
of autoinstr unless it says so."""

from __future__ import annotations

from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent
