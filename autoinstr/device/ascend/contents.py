"""Read what the database of one profile holds: its facts, its module tree, and what is missing."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend import missing_reasons, profiles
from autoinstr.device.ascend.database import DatabaseFacts, connect, read_facts
from autoinstr.device.ascend.database_checks import check_not_empty
from autoinstr.device.ascend.loader import NoKernels, load_database
from autoinstr.device.ascend.module_times import ModuleTimes, compute_module_times

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.ascend.profiles import Profile


class ProfileContents(NamedTuple):
    """The contents of one database, and what is wrong with it ("" if it gives a table)."""

    facts: DatabaseFacts | None = None
    times: ModuleTimes | None = None
    problem: str = ""
    remarks: tuple[str, ...] = ()


def read_contents(profile: Profile, tick: Callable[[int], None]) -> ProfileContents:
    """Read the database of a profile; `tick` is called with numbers of rows."""
    try:
        check_not_empty(profile.database)
        connection = connect(profile.database)
        try:
            facts = read_facts(connection)
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        advice = "; remove it to analyse the profile again" if profile.raw else ""
        reason = " ".join(str(error).split())
        name = os.path.basename(profile.database)
        return ProfileContents(problem=f"{name} cannot be read: {reason}{advice}")
    except (AutoinstrError, OSError) as error:
        return ProfileContents(problem=str(error))
    try:
        store = load_database(profile.database, profile.rank, tick)
    except NoKernels:
        settings = profiles.read_settings(profile.folder)
        problem = missing_reasons.explain_no_kernels(facts, settings)
        return ProfileContents(facts, problem=problem)
    except AutoinstrError as error:
        return ProfileContents(facts, problem=str(error))
    try:
        times = compute_module_times(store, tick)
        settings = profiles.read_settings(profile.folder)
        problem = missing_reasons.explain_no_modules(facts, times, settings)
        remarks = () if problem else tuple(missing_reasons.list_remarks(facts, times))
        remarks += tuple(store.complaints)
        return ProfileContents(facts, times, problem, remarks)
    finally:
        store.close()
