"""`autoinstr bundle DIR`: make a folder to inject into containers, or check one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.arguments import parse_path
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

DESCRIPTION = """\
Make a folder with the agent and its libraries in pure Python, for CPython 3.9 to 3.14 on
any architecture. It is meant for image layers, init containers and shared file systems.
You can move it, and it needs no write access at run time. Put DIR/sitecustomize first on
PYTHONPATH. An existing bundle at DIR is replaced. docs/deploy.md has the details."""

EXAMPLES = """\
  autoinstr bundle /opt/autoinstr
  PYTHONPATH=/opt/autoinstr/sitecustomize AUTOINSTR=1 vllm serve …
  autoinstr bundle --check /opt/autoinstr
  /opt/autoinstr/bin/autoinstr ctl on RUN       if autoinstr is not installed
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "bundle",
        "make a folder to inject into containers, or check one",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare the bundle DIR with its manifest, file by file, and check its permissions",
    )
    parser.add_argument(
        "directory",
        metavar="DIR",
        type=parse_path,
        help="the folder: a new or empty one, or a bundle",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return _check(args.directory) if args.check else _make(args.directory)


def _make(directory: str) -> int:
    from autoinstr.bundle.build import build
    from autoinstr.cli.gate import find_gate_folder

    document = build(directory, find_gate_folder(), _print_progress)
    gate = os.path.join(os.path.abspath(directory), "sitecustomize")
    print("\n".join([*summarize(directory, document), f"put first on PYTHONPATH: {gate}"]))
    return 0


def _check(directory: str) -> int:
    from autoinstr.base.text import format_count
    from autoinstr.bundle.check import check_bundle

    try:
        document, problems = check_bundle(directory)
    except OSError as error:
        raise AutoinstrError(f"{directory}: cannot be checked: {error.strerror}") from None
    lines = [*summarize(directory, document), *(f"problem: {line}" for line in problems)]
    print("\n".join(lines), flush=True)
    if problems:
        raise AutoinstrError(
            f"{directory}: the bundle has {format_count(len(problems), 'problem')}; "
            "make it again, or copy it again"
        )
    return 0


def summarize(directory: str, document: dict[str, Any]) -> list[str]:
    """Return the versions in a bundle, and the hash of its manifest.

    The manifest holds the hash of every other file, so its hash identifies the whole bundle."""
    from autoinstr.bundle.layout import MANIFEST
    from autoinstr.bundle.manifest import compute_sha256

    libraries = ", ".join(
        f"{library['name']} {library['version']}" for library in document["libraries"]
    )
    versions = ", ".join(compiled["python"] for compiled in document["bytecode"]) or "none"
    return [
        f"autoinstr {document['autoinstr']} with {libraries}; {len(document['files'])} files",
        f"byte code for Python {versions}; other versions compile it in memory",
        f"sha256 of {MANIFEST}: {compute_sha256(os.path.join(directory, MANIFEST))}",
    ]


def _print_progress(line: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"autoinstr: {line}", file=sys.stderr, flush=True)
