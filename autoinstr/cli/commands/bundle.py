"""`autoinstr bundle DIR`: make the injection folder, or check one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.arguments import place
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser

EXAMPLES = """\
  autoinstr bundle /opt/autoinstr
  PYTHONPATH=/opt/autoinstr/sitecustomize AUTOINSTR=1 vllm serve …
  autoinstr bundle --check /opt/autoinstr
  /opt/autoinstr/bin/autoinstr ctl on RUN       where autoinstr is not installed
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "bundle",
        "make a folder to inject into containers, or check one",
        "Make a folder with the agent and its libraries in pure Python, for CPython 3.9 to\n"
        "3.14 on any architecture: for image layers, init containers and shared file\n"
        "systems. It may be moved, needs no write at run time, and DIR/sitecustomize goes\n"
        "first on PYTHONPATH. A bundle that stands at DIR is replaced. docs/deploy.md has\n"
        "the rest.",
        EXAMPLES,
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="say whether the bundle DIR is what was made, file by file, and its permissions",
    )
    parser.add_argument(
        "directory", metavar="DIR", type=place, help="the folder: a new or empty one, or a bundle"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return _check(args.directory) if args.check else _make(args.directory)


def _make(directory: str) -> int:
    from autoinstr.bundle.build import build
    from autoinstr.cli.commands.path import gate_folder

    document = build(directory, gate_folder(), _say)
    print(
        "\n".join(
            [
                *summary(directory, document),
                f"put first on PYTHONPATH: {os.path.join(os.path.abspath(directory), 'sitecustomize')}",
            ]
        )
    )
    return 0


def _check(directory: str) -> int:
    from autoinstr.base.text import count
    from autoinstr.bundle.check import problems

    try:
        document, found = problems(directory)
    except OSError as error:
        raise AutoinstrError(f"{directory}: cannot be checked: {error.strerror}") from None
    print(
        "\n".join([*summary(directory, document), *(f"problem: {line}" for line in found)]),
        flush=True,
    )
    if found:
        raise AutoinstrError(
            f"{directory}: the bundle has {count(len(found), 'problem')}; make it anew, or copy it again"
        )
    return 0


def summary(directory: str, document: dict[str, Any]) -> list[str]:
    """Versions, and the hash of the manifest, which stands for the whole bundle."""
    from autoinstr.bundle.layout import MANIFEST
    from autoinstr.bundle.manifest import sha256

    libraries = ", ".join(
        f"{library['name']} {library['version']}" for library in document["libraries"]
    )
    compiled = ", ".join(each["python"] for each in document["bytecode"]) or "none"
    return [
        f"autoinstr {document['autoinstr']} with {libraries}; {len(document['files'])} files",
        f"byte code for Python {compiled}; others compile it in memory",
        f"sha256 of {MANIFEST}: {sha256(os.path.join(directory, MANIFEST))}",
    ]


def _say(line: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"autoinstr: {line}", file=sys.stderr, flush=True)
