"""Collect and format what `autoinstr doctor` says about targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.cli.target_survey import make_target_row, survey_targets

if TYPE_CHECKING:
    from autoinstr.config.config import Config

MAX_ROWS = 10  # rows in the text; --json and `autoinstr targets` list all


def collect_target_facts(config: Config) -> dict[str, Any]:
    """Look up the targets in the source files of this interpreter's packages; import none of them.

    `chosen` counts the rows that the option targets selects and that apply to the installed
    versions. `missing` are those among them that the installed version should have but does not
    have. `problems` are rows of the user that cannot be used, and patterns that match nothing."""
    from autoinstr.targets.installed import MISSING, NOT_APPLICABLE

    survey = survey_targets(config)
    statuses = [
        status
        for status in survey.statuses
        if survey.is_selected(status) and status.status != NOT_APPLICABLE
    ]
    source = config.sources["targets"]
    return {
        "chosen": len(statuses),
        "missing": [
            make_target_row(status, True) for status in statuses if status.status == MISSING
        ],
        "problems": [
            *survey.problems,
            *(f"{source}: targets: {text}" for text in survey.unmatched),
        ],
    }


def format_targets(facts: dict[str, Any]) -> list[str]:
    """Return the facts as text, without the problems."""
    count, missing_rows = facts["chosen"], facts["missing"]
    if not count:
        return ["targets    none apply here"]
    if not missing_rows:
        return [f"targets    all {count} selected targets exist here"]
    lines = [
        f"targets    {count - len(missing_rows)} of {count} selected targets exist here, "
        f"{len(missing_rows)} missing"
    ]
    for row in missing_rows[:MAX_ROWS]:
        hint = f"; nearest: {row['nearest']}" if row["nearest"] else ""
        lines.append(f"  {row['name']}  {row['target']}  missing: {row['reason']}{hint}")
    if len(missing_rows) > MAX_ROWS:
        lines.append(f"  … and {len(missing_rows) - MAX_ROWS} more (autoinstr targets lists all)")
    return lines


def format_target_problems(facts: dict[str, Any]) -> list[str]:
    """Return a line for each of the first problems, and how many more there are."""
    problems = facts["problems"]
    lines = [f"problem: {text}" for text in problems[:MAX_ROWS]]
    if len(problems) > MAX_ROWS:
        hidden_count = len(problems) - MAX_ROWS
        lines.append(f"problem: … and {hidden_count} more (autoinstr targets lists all)")
    return lines
