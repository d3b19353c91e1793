"""The registry of report formats: one row makes a format known everywhere."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstr.cli.completion.tables import read_tables
from autoinstr.cli.entry import main
from autoinstr.cli.subcommands import build_parser
from autoinstr.report.formats import (
    FORMATS,
    NICKNAMES,
    Format,
    find_format_by_ending,
    name_formats,
)
from autoinstr.report.options import TableOptions
from tests.support.recordings import make_recording

REPO = Path(__file__).resolve().parents[2]
CALLS = [(0, "", "Model", 1_000, 9_000), (0, "layers.0", "Layer", 2_000, 4_000)]
TOY_WRITER = """\
def write(run, stream, options, tick):
    tick(2)
    stream.write(f"{len(run.recordings)} recording, limit {options.limit}\\n".encode())
    return ["a remark"]
"""


@pytest.fixture
def toy_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Format:
    """Register a format by one row; its writer is a file that is imported when it is called."""
    (tmp_path / "toy_writer.py").write_text(TOY_WRITER)
    monkeypatch.syspath_prepend(str(tmp_path))
    row = Format(
        "toy",
        "toy_writer:write",
        "report.toy",
        hint="play with it",
        options=("limit",),
        label="Toy",
        media_type="text/x-toy",
    )
    monkeypatch.setitem(FORMATS, "toy", row)
    monkeypatch.delitem(sys.modules, "toy_writer", raising=False)
    return row


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    make_recording(str(tmp_path / "run"), CALLS, pid=11)
    return tmp_path / "run"


def test_a_new_format_is_in_the_help_and_in_the_completion(
    toy_format: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(FORMATS)} (default: the ending of -o decides, else table)" in text
    assert ", toy (default: the ending of -o decides, else table)" in text and "report.toy" in text
    assert name_formats("limit").endswith(" and toy")
    assert f"--limit N {name_formats('limit')}: " in text
    report = next(row for row in read_tables(build_parser()).subcommands if row.name == "report")
    values = next(row.values for row in report.options if "--format" in row.names)
    assert values is not None and "toy" in values.words
    assert "toy_writer" not in sys.modules


def test_a_new_format_is_accepted_and_written(
    toy_format: Format, run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run_directory), "--format", "toy", "--limit", "7"]) == 0
    file = run_directory / "report.toy"
    assert file.read_text() == "1 recording, limit 7\n"
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"autoinstr: wrote {file} (2 records, 0.0 MB); play with it",
        "autoinstr: a remark",
    ]


def test_options_that_a_new_format_does_not_take_are_refused(
    toy_format: Format, run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run_directory), "--format", "toy", "--sort", "self"]) == 2
    error = capsys.readouterr().err
    assert "--sort self: is for the formats table and csv, not for toy" in error
    assert main(["report", str(run_directory), "--format", "tyo"]) == 2
    assert "did you mean 'toy'?" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["Toy", ""])
def test_view_offers_a_new_format_if_its_row_has_a_label(
    label: str, toy_format: Format, run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoinstr.analysis.runs import find_run
    from autoinstr.report.view.report_cache import ReportCache
    from autoinstr.report.view.routes import build_routes

    monkeypatch.setitem(FORMATS, "toy", toy_format._replace(label=label))
    report_cache = ReportCache(find_run(str(run_directory)), None)
    try:
        routes = build_routes(report_cache, {})
        page = routes[""].get_body()
        assert isinstance(page, bytes)
        assert ('href="report.toy"' in page.decode()) is bool(label)
        assert ("report.toy" in routes) is bool(label)
        if label:
            route = routes["report.toy"]
            file = route.get_body()
            assert isinstance(file, str)
            assert Path(file).read_text() == f"1 recording, limit {TableOptions().limit}\n"
            assert (route.media_type, route.is_download) == ("text/x-toy", True)
    finally:
        report_cache.close()


def test_a_new_format_may_write_a_folder_and_take_options_of_its_own(
    run_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def write(
        run: object, directory: str, options: object, tick: object, name: str = "class"
    ) -> None:
        calls.append((directory, name))

    monkeypatch.setitem(FORMATS, "toy", Format("toy", write, writes_folder=True, options=("name",)))
    words = ["report", str(run_directory), "--format", "toy", "-o", str(tmp_path / "out")]
    assert main([*words, "--name", "path"]) == main(words) == 0
    assert calls == [(str(tmp_path / "out"), "path"), (str(tmp_path / "out"), "class")]
    assert main([*words, "--limit", "1"]) == 2


def test_names_of_the_formats_of_an_option() -> None:
    assert name_formats("kineto") == "format ascend-db"
    assert name_formats("limit") == "formats table and csv"
    assert name_formats("phase") == "formats table, json and csv"


def test_rows_and_their_names_agree() -> None:
    assert all(row.name == name for name, row in FORMATS.items())
    files = [row.file_name for row in FORMATS.values() if row.file_name]
    assert len(files) == len(set(files))
    assert all(row.file_name for row in FORMATS.values() if row.label)


@pytest.mark.parametrize("name", FORMATS)
def test_the_documentation_has_every_format(name: str) -> None:
    pages = [file.read_text(encoding="utf-8") for file in (REPO / "docs").glob("**/*.md")]
    assert any(f"| `{name}`" in page for page in pages), f"docs/ has no table with `{name}`"


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"], ["path"]])
def test_the_command_line_starts_without_the_writers(words: list[str]) -> None:
    code = (
        f"import sys; from autoinstr.cli import main; main({words!r}); "
        "print([name for name in sys.modules if name.startswith('autoinstr.')], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    modules = ast.literal_eval(result.stderr)
    allowed = ("autoinstr.report", "autoinstr.report.formats")
    packages = ("report", "analysis", "recording", "device", "diff", "merge", "bundle", "targets")
    heavy = [name for name in modules if name.split(".")[1] in packages and name not in allowed]
    assert heavy == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x.html", "html"),
        ("X.HTM", "html"),
        ("x.json", "json"),
        ("x.json.gz", "json"),
        ("x.chrome.json", "chrome"),
        ("x.speedscope.json.gz", "speedscope"),
        ("x.pftrace", "pftrace"),
        ("x.csv", "csv"),
        ("x.txt", None),
        ("html", None),
        ("-", None),
    ],
)
def test_the_ending_of_a_file_chooses_the_format(path: str, expected: str | None) -> None:
    assert find_format_by_ending(path) == expected


def test_report_and_diff_write_the_format_of_the_ending(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        make_recording(str(tmp_path / folder), [(0, "", "Net", 1_000, 2_000)])
    runs = str(tmp_path / "a"), str(tmp_path / "b")
    page, comparison, table = (str(tmp_path / name) for name in ("p.html", "d.json", "t.txt"))
    assert main(["report", runs[0], "-o", page]) == 0
    assert main(["report", runs[0], "-o", table]) == 0
    assert main(["diff", *runs, "-o", comparison]) == 0
    assert Path(page).read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert Path(table).read_text(encoding="utf-8").startswith(runs[0])
    assert "schema" in json.loads(Path(comparison).read_text(encoding="utf-8"))


def test_what_users_call_a_format_is_answered_with_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert set(NICKNAMES.values()) <= set(FORMATS) and not set(NICKNAMES) & set(FORMATS)
    for word, name in NICKNAMES.items():
        assert main(["report", "x", "--format", word]) == 2
        assert f"did you mean {name!r}?" in capsys.readouterr().err
