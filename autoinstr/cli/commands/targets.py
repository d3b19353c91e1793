"""`autoinstr targets [--json] [--all]`: which targets the packages installed here have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from autoinstr.cli.parser import Parser
    from autoinstr.targets.installed import Status

DESCRIPTION = """\
List the targets: functions that get a range of their own, beside the modules.
Each is looked up in the source files of the packages installed here; nothing
is imported. A target that the installed version should have and lacks is
shown as missing, with the nearest name. Rows of your own are read from the
configuration file ([[autoinstr.custom_target]]), see docs/targets.md.

Choose among them with the option targets: default, all, none, or names with
wildcards. A * marks those that the option chooses now."""

EXAMPLES = """\
  autoinstr targets
  autoinstr targets --config mine.toml
  autoinstr targets --json
  AUTOINSTR_TARGETS='default,comm.*' autoinstr targets
"""


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
        help="show rows of other versions and of packages that are not installed, too",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with rows of your own (default: AUTOINSTR_CONFIG)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.json and args.all:
        raise UsageError("--all: --json has every row anyway, whatever its status")
    import sys

    from autoinstr.config.config import load
    from autoinstr.targets.installed import survey
    from autoinstr.targets.selection import select

    config = load(
        os.environ, sys._xoptions.get("autoinstr"), {"config": args.config} if args.config else None
    )
    if os.getcwd() not in sys.path:
        sys.path.append(
            os.getcwd()
        )  # a row may name a module beside the script that will be run from here
    found, problems = survey(config.custom_targets, config.config or "")
    chosen, unmatched = select([one.target for one in found], config.targets)
    problems += [f"targets: {text}" for text in unmatched]
    wanted = {id(target) for target in chosen}
    if args.json:
        import json

        rows = [row_of(one, id(one.target) in wanted) for one in found]
        print(
            json.dumps(
                {"schema": "autoinstr.targets/1", "rows": rows, "problems": problems}, indent=1
            )
        )
    else:
        print("\n".join(lines(found, wanted, problems, args.all)))
    return 0


def row_of(one: Status, selected: bool) -> dict[str, Any]:
    """A row for a program. `version` is that of the installed package, or null."""
    target = one.target
    return {
        "name": target.name,
        "target": f"{target.module}:{target.qualname}",
        "package": target.package or target.module.partition(".")[0],
        "version": one.version,
        "status": one.status,
        "nearest": one.nearest,
        "reason": one.why,
        "selected": selected,
        "default": target.default,
        "kind": target.kind,
        "roles": list(target.roles),
        "domain": target.domain,
        "since": target.since or None,
        "before": target.before or None,
        "attributes": list(target.attributes),
        "note": target.note,
        "custom": not target.package,
    }


def lines(
    found: list[Status], wanted: set[int], problems: list[str], everything: bool
) -> list[str]:
    """The list for a reader: a paragraph for each package, a group for each first word of a
    name."""
    from autoinstr.base.text import count

    shown: list[str] = []
    packages: dict[str, list[Status]] = {}
    for one in found:
        packages.setdefault(one.target.package or "your own rows", []).append(one)
    for package, rows in packages.items():
        counts = {
            status: sum(1 for one in rows if one.status == status)
            for status in ("ok", "missing", "not-applicable")
        }
        version = (
            next((one.version for one in rows if one.version), None)
            if package != "your own rows"
            else ""
        )
        head = f"{package} {'is not installed' if version is None else version}".rstrip()
        chosen = sum(1 for one in rows if one.status == "ok" and id(one.target) in wanted)
        listed = [one for one in rows if everything or one.status != "not-applicable"]
        if version is None and not everything:
            shown.append(
                f"{head}: {count(len(rows), 'row')} (--all {'lists them' if len(rows) > 1 else 'shows it'})"
            )
            continue
        shown.append(
            f"{head}: {counts['ok']} ok ({chosen} chosen), {counts['missing']} missing, {counts['not-applicable']} of other versions"
        )
        width = max((len(one.target.name) for one in listed), default=0)
        group = None
        for one in listed:
            if group not in (None, one.target.name.split(".")[0]):
                shown.append("")
            group = one.target.name.split(".")[0]
            shown.append(line_of(one, id(one.target) in wanted, width))
        shown.append("")
    return shown + [f"problem: {text}" for text in problems]


def line_of(one: Status, selected: bool, width: int) -> str:
    """One row for a reader."""
    target = one.target
    mark = "*" if selected and one.status == "ok" else " "
    text = f" {mark} {target.name:<{width}}  {target.module}:{target.qualname}"
    if one.status == "ok":
        return text
    near = f"; nearest: {one.nearest}" if one.nearest else ""
    return f"{text}  {one.status}: {one.why}{near}"
