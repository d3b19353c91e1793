"""`autoinstr targets [--json] [--all]`: list the targets that the installed packages have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser
    from autoinstr.cli.target_survey import TargetSurvey
    from autoinstr.targets.installed import TargetStatus

DESCRIPTION = """\
List the targets: functions that get a range of their own, beside the modules. Each is
looked up in the source files of the installed packages; nothing is imported. A target
that the installed version should have but does not have is missing; the nearest name is
shown. Your own rows come from the configuration file ([[autoinstr.custom_target]], see
docs/reference/targets.md).

Select targets with the option targets: default, all, none, or names with wildcards. A *
marks the selected ones."""

EXAMPLES = """\
  autoinstr targets
  autoinstr targets --config mine.toml
  autoinstr targets --json
  AUTOINSTR_TARGETS='default,comm.*' autoinstr targets
"""

CUSTOM_HEADING = "your own rows"


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "targets",
        "list the functions that get ranges, and which are missing here",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: every row, whatever its status"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="show the rows of other versions and of packages that are not installed too",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with your own rows (default: AUTOINSTR_CONFIG)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.json and args.all:
        raise UsageError("--all: --json has every row anyway, whatever its status")
    import sys

    from autoinstr.cli.target_survey import make_target_row, survey_targets
    from autoinstr.config.config import load_config

    flags = {"config": args.config} if args.config else None
    survey = survey_targets(load_config(os.environ, sys._xoptions.get("autoinstr"), flags))
    problems = [*survey.problems, *(f"targets: {text}" for text in survey.unmatched)]
    if args.json:
        import json

        document = {
            "schema": "autoinstr.targets/1",
            "rows": [
                make_target_row(status, survey.is_selected(status)) for status in survey.statuses
            ],
            "problems": problems,
        }
        print(json.dumps(document, indent=1))
    else:
        lines = format_survey(survey, show_all=args.all)
        print("\n".join([*lines, *(f"problem: {text}" for text in problems)]))
    return 0


def format_survey(survey: TargetSurvey, *, show_all: bool) -> list[str]:
    """Return the list as text: a paragraph per package, with a blank line between groups.

    A group are the targets with the same first part of the name. Only `show_all` shows rows of
    other versions and of packages that are not installed."""
    packages: dict[str, list[TargetStatus]] = {}
    for status in survey.statuses:
        packages.setdefault(status.target.package or CUSTOM_HEADING, []).append(status)
    return [
        line
        for package, statuses in packages.items()
        for line in _format_package(package, statuses, survey, show_all)
    ]


def _format_package(
    package: str, statuses: list[TargetStatus], survey: TargetSurvey, show_all: bool
) -> list[str]:
    from autoinstr.base.text import format_count

    version = next((status.version for status in statuses if status.version), None)
    if package == CUSTOM_HEADING:
        heading = package
    elif version is None:
        heading = f"{package} is not installed"
        if not show_all:
            rows = format_count(len(statuses), "row")
            return [
                f"{heading}: {rows} (--all {'lists them' if len(statuses) > 1 else 'shows it'})"
            ]
    else:
        heading = f"{package} {version}"
    counts = {"ok": 0, "missing": 0, "not-applicable": 0}
    for status in statuses:
        counts[status.status] += 1
    selected_count = sum(
        1 for status in statuses if status.status == "ok" and survey.is_selected(status)
    )
    lines = [
        f"{heading}: {counts['ok']} ok ({selected_count} selected), {counts['missing']} missing, "
        f"{counts['not-applicable']} of other versions"
    ]
    visible = [status for status in statuses if show_all or status.status != "not-applicable"]
    width = max((len(status.target.name) for status in visible), default=0)
    previous_group = None
    for status in visible:
        group = status.target.name.split(".")[0]
        if previous_group not in (None, group):
            lines.append("")
        previous_group = group
        lines.append(_format_target(status, survey.is_selected(status), width))
    return [*lines, ""]


def _format_target(status: TargetStatus, selected: bool, width: int) -> str:
    target = status.target
    mark = "*" if selected and status.status == "ok" else " "
    line = f" {mark} {target.name:<{width}}  {target.module}:{target.qualname}"
    if status.status == "ok":
        return line
    hint = f"; nearest: {status.nearest}" if status.nearest else ""
    return f"{line}  {status.status}: {status.reason}{hint}"
