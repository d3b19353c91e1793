"""Read what the database of one profile holds: its facts, its ranges, and what is missing."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend import missing_reasons, profiles
from autoinstr.device.ascend.database import (
    DatabaseFacts,
    ModuleRanges,
    connect,
    read_facts,
    read_ranges,
)
from autoinstr.device.ascend.database_checks import check_not_empty

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.ascend.profiles import Profile


class ProfileContents(NamedTuple):
    """The contents of one database.

    `read_error` says why it cannot be read, `missing_reason` why it cannot give a device table.
    Both are "" for a complete database.
    """

    profile: Profile
    facts: DatabaseFacts | None
    ranges: ModuleRanges
    read_error: str = ""
    missing_reason: str = ""


def read_contents(profile: Profile, tick: Callable[[int], None]) -> ProfileContents:
    """Read the database of a profile; `tick` is called for each range."""
    no_ranges = ModuleRanges({}, 0, 0, 0)
    try:
        check_not_empty(profile.database)
    except (AutoinstrError, OSError) as error:
        return ProfileContents(profile, None, no_ranges, read_error=str(error))
    try:
        connection = connect(profile.database)
        try:
            facts = read_facts(connection)
            ranges = read_ranges(connection, tick) if facts.range_count else no_ranges
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        advice = "; remove it to analyse the profile again" if profile.raw else ""
        reason = " ".join(str(error).split())
        message = f"{os.path.basename(profile.database)} cannot be read: {reason}{advice}"
        return ProfileContents(profile, None, no_ranges, read_error=message)
    settings = profiles.read_settings(profile.folder)
    reason = missing_reasons.explain_missing_table(facts, settings)
    return ProfileContents(profile, facts, ranges, missing_reason=reason)
