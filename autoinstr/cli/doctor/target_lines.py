"""What `autoinstr doctor` says of the targets: what the installed versions lack, and rows and
patterns that name nothing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoinstr.config.config import Config

SHOWN = 10  # rows listed; --json and `autoinstr targets` have all


def target_facts(config: Config) -> dict[str, Any]:
    """Looked up in the source files of what is installed for this interpreter; nothing of it is
    imported.

    `chosen` rows are those that the option targets names and that can apply here; `missing` are the
    ones among them that the installed version should have and lacks; `problems` are rows of the
    user's that cannot be used, and patterns that name nothing."""
    from autoinstr.cli.commands.targets import row_of
    from autoinstr.targets.installed import MISSING, NOT_APPLICABLE, survey
    from autoinstr.targets.selection import select

    path = list(sys.path)
    if os.getcwd() not in sys.path:
        sys.path.append(
            os.getcwd()
        )  # a row may name a module beside the script that will be run from here
    try:
        found, problems = survey(config.custom_targets, config.config or "")
    finally:
        sys.path[:] = path
    chosen, unmatched = select([one.target for one in found], config.targets)
    wanted = {id(target) for target in chosen}
    rows = [one for one in found if id(one.target) in wanted and one.status != NOT_APPLICABLE]
    return {
        "chosen": len(rows),
        "missing": [row_of(one, True) for one in rows if one.status == MISSING],
        "problems": [
            *problems,
            *(f"{config.sources['targets']}: targets: {text}" for text in unmatched),
        ],
    }


def target_lines(facts: dict[str, Any]) -> list[str]:
    """For a reader; the problems are listed with the others."""
    missing = facts["missing"]
    there = facts["chosen"] - len(missing)
    if not missing:
        return [
            f"targets    {facts['chosen']} chosen rows apply here, all are there"
            if facts["chosen"]
            else "targets    none apply here"
        ]
    lines = [
        f"targets    {there} of {facts['chosen']} chosen rows are there, {len(missing)} missing"
    ]
    for row in missing[:SHOWN]:
        near = f"; nearest: {row['nearest']}" if row["nearest"] else ""
        lines.append(f"  {row['name']}  {row['target']}  missing: {row['reason']}{near}")
    if len(missing) > SHOWN:
        lines.append(f"  … and {len(missing) - SHOWN} more (autoinstr targets lists all)")
    return lines


def problem_lines(facts: dict[str, Any]) -> list[str]:
    """A line for each problem, up to a screen's worth."""
    problems = facts["problems"]
    more = (
        [f"problem: … and {len(problems) - SHOWN} more (autoinstr targets lists all)"]
        if len(problems) > SHOWN
        else []
    )
    return [f"problem: {text}" for text in problems[:SHOWN]] + more
