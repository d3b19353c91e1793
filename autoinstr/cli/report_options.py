"""The options of `autoinstr report` that only some formats take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import UsageError
from autoinstr.cli.arguments import WordChoice, parse_whole_number
from autoinstr.report.formats import FORMATS, name_formats

if TYPE_CHECKING:
    from autoinstr.report.formats import Format

NAMINGS = ("class", "path", "path:class")
# The tables and their orders; the first order is the default.
SORTS = {
    "modules": ("tree", "total", "self", "calls", "mean", "device"),
    "requests": ("arrival", "queue", "ttft", "tpot", "e2e"),
    "steps": (
        "start",
        "duration",
        "schedule",
        "execute",
        "sample",
        "update",
        "gap",
        "data",
        "forward",
        "backward",
        "recompute",
        "optimizer",
        "rest",
    ),
    "pmu": ("device",),
}
# The options that only some formats take, and their values where the user gave none.
READ_BEFORE = ("profile", "capture", "peak", "on")  # options that are read before a writer runs
FORMAT_OPTIONS = {
    "kineto": None,
    "name": None,
    "profile": None,
    "capture": None,
    "peak": None,
    "table": "modules",
    "phase": None,
    "sort": None,
    "limit": None,
    "on": None,
}


def add_format_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only some formats take."""
    parser.add_argument(
        "--table",
        metavar="WHICH",
        type=WordChoice(tuple(SORTS)),
        help=f"{name_formats('table')}: {', '.join(SORTS)} (default: modules)",
    )
    parser.add_argument(
        "--phase",
        metavar="PHASE",
        help=f"{name_formats('phase')}: only what ran in this phase: prefill, decode, mixed, idle; "
        "none selects ranges without a phase",
    )
    orders = tuple(dict.fromkeys(word for words in SORTS.values() for word in words))
    orders_by_table = "; ".join(f"{table}: {', '.join(words)}" for table, words in SORTS.items())
    parser.add_argument(
        "--sort",
        metavar="BY",
        type=WordChoice(orders),
        help=f"{name_formats('sort')}; {orders_by_table} (default: the first order of the table)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=parse_whole_number,
        help=f"{name_formats('limit')}: the most lines of each table; 0 shows all "
        "(default: one screen; requests and steps: 30; csv: all)",
    )
    parser.add_argument(
        "--kineto",
        metavar="TRACE",
        action="append",
        help=f"{name_formats('kineto')}: a torch.profiler trace of the same run (.json, .gz), "
        "for operators, kernels and links; repeat it for each process",
    )
    parser.add_argument(
        "--profile",
        metavar="PROFILE",
        action="append",
        help=f"{name_formats('profile')}: a profile of the same run (a torch.profiler trace, or a "
        "folder or database of torch_npu), for device time; those below DIR are found without it",
    )
    parser.add_argument(
        "--capture",
        metavar="TRACE",
        action="append",
        help=f"{name_formats('capture')}: a torch.profiler trace of the capture of the graphs that "
        "a profile replays, or of an eager pass; repeat it for several",
    )
    parser.add_argument(
        "--on",
        metavar="CLUSTER",
        type=parse_cluster,
        help=f"{name_formats('on')}: read each recording in a task of a Ray cluster: ray (that of "
        "this machine or of RAY_ADDRESS) or ray://HOST:PORT; all nodes must see DIR",
    )
    parser.add_argument(
        "--peak",
        metavar="PEAK",
        help=f"{name_formats('peak')}: what the device can do, for the share of its peak: a name "
        "(A100, H100, H200, B200, MI300X, …), TFLOP/s, or TFLOP/s,GB/s (default: by the name in "
        "the profile)",
    )
    parser.add_argument(
        "--name",
        metavar="HOW",
        type=WordChoice(NAMINGS),
        help=f"{name_formats('name')}: how to name a module: {', '.join(NAMINGS)} (default: class)",
    )


def parse_cluster(word: str) -> str:
    """Return the word for a Ray cluster: "ray", or an address that Ray Client takes."""
    if word != "ray" and not word.startswith("ray://"):
        raise argparse.ArgumentTypeError(f"{word!a} is neither ray nor ray://HOST:PORT")
    return word


def collect_own_options(args: argparse.Namespace, row: Format) -> dict[str, Any]:
    """Return the options of the format that TableOptions does not hold, if the user gave them."""
    from autoinstr.report.options import TableOptions

    return {
        option: getattr(args, option)
        for option in row.options
        if option not in (*TableOptions._fields, *READ_BEFORE)
        and getattr(args, option, None) is not None
    }


def choose_sort(args: argparse.Namespace, row: Format) -> str:
    """Check the options of some formats, set their defaults, and return the order of the table.

    UsageError if the format or the table does not take an option."""
    for option, default in FORMAT_OPTIONS.items():
        value = getattr(args, option)
        if value is None:
            setattr(args, option, default)
        elif option not in row.options and value != default:
            text = f"--{option} {value}" if isinstance(value, (str, int)) else f"--{option}"
            shows_content = row.content and option in FORMATS["table"].options
            reason = f" ({row.content})" if shows_content else ""
            raise UsageError(
                f"{text}: is for the {name_formats(option)}, not for {row.name}{reason}"
            )
    if args.phase is not None and args.table == "requests":
        raise UsageError(
            f"--phase {args.phase}: is not for --table requests, "
            "because a request runs through several phases"
        )
    orders = SORTS[args.table]
    if args.sort is not None and args.sort not in orders:
        raise UsageError(
            f"--sort {args.sort}: is no order of {args.table}; there are: {', '.join(orders)}"
        )
    return args.sort or orders[0]
